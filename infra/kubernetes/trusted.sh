# Whom the bffs, the workers and KEDA trust: each authority's certificate, from where cert-manager and the operators keep it.
# `sh infra/kubernetes/trusted.sh > ca.pem`; docs/kubernetes.md says what to do with it.
set -eu
of() { kubectl --namespace "$1" get "$2" "$3" --output "go-template=$4" && echo; }

of payments secret authority '{{ index .data "tls.crt" | base64decode }}' # Envoy, antifraud
of payments-data secret authority '{{ index .data "tls.crt" | base64decode }}' # Redis, registry
of payments-data secret payments-cluster-ca-cert '{{ index .data "ca.crt" | base64decode }}' # Kafka
of payments-data configmap scylla-local-serving-ca '{{ index .data "ca-bundle.crt" }}' # ScyllaDB

"""infra/kubernetes: the rules of running it on several machines, each with the fault that it prevents."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from antifraud.server import DRAIN_SECONDS
from app import bootstrap
from app.messaging import topics
from app.models.role import TRANSACTIONS
from app.observability import metrics
from app.processing.pipeline import Pipeline
from app.settings import Settings
from tests.support import compose, kubernetes

OVERLAYS, NEIGHBOURS = kubernetes.OVERLAYS, kubernetes.NEIGHBOURS.values()
NAMES = ("bff", "transactions", "antifraud", "envoy")
#: With pods that we say everything of.
EVERY = [
    *((folder, name) for folder in ("base", *OVERLAYS) for name in NAMES),
    *((folder, name) for folder in ("neighbours", *NEIGHBOURS) for name in ("redis", "registry")),
]
PARTITIONS = 12
DIVISORS = [1, 2, 3, 4, 6, 12]


def workload(name: str, folder: str = "base") -> dict[str, Any]:
    return kubernetes.workloads(folder)[name]


# A container can do no more than it needs


@pytest.mark.parametrize(("folder", "name"), EVERY)
def test_a_pod_is_not_root_writes_to_its_volumes_alone_and_has_no_rights(folder: str, name: str) -> None:
    pod, one = kubernetes.pod(workload(name, folder)), kubernetes.container(workload(name, folder))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "serviceAccountName"} & pod.keys()
    for volume in pod.get("volumes", []):
        assert volume.keys() - {"name"} in ({"emptyDir"}, {"configMap"}, {"secret"}, {"projected"})
        for source in volume.get("projected", {"sources": [volume]})["sources"]:
            assert "serviceAccountToken" not in source
            assert "secret" not in source or folder.startswith("overlays/production")
        assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"]


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_our_namespace_refuses_whatever_is_not_so(folder: str) -> None:
    labels = kubernetes.of_kind(folder, "Namespace")["payments"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(("folder", "name"), EVERY)
def test_kubernetes_adds_no_variables_that_would_be_settings(folder: str, name: str) -> None:
    """A service called envoy would set ENVOY_PORT=tcp://…, and one called cassandra ends a worker."""
    assert kubernetes.pod(workload(name, folder))["enableServiceLinks"] is False


@pytest.mark.parametrize(("folder", "name"), EVERY)
def test_a_container_has_bounds_probes_and_one_version(folder: str, name: str) -> None:
    one = kubernetes.container(workload(name, folder))
    assert {"readinessProbe", "livenessProbe"} <= one.keys()
    assert one["resources"]["limits"].keys() == one["resources"]["requests"].keys() == {"cpu", "memory"}
    if folder != "base":  # where ours have none yet
        assert re.fullmatch(r"[a-z./-]+:v?\d+\.\d+\.\d+(-alpine)?", one["image"])


@pytest.mark.parametrize("folder", kubernetes.APPLIED)
def test_nothing_is_a_secret_and_nothing_has_a_password(folder: str) -> None:
    assert kubernetes.of_kind(folder, "Secret", "Ingress", "ClusterRoleBinding", "RoleBinding") == {}
    for one in kubernetes.of_kind(folder, "Service").values():
        assert one["spec"].get("type", "ClusterIP") == "ClusterIP"
    for one in kubernetes.of_kind(folder, "ConfigMap").values():
        assert not re.search(r"://[^/\s]*:[^/\s]*@", str(one["data"]))
        secret = [key for key in one["data"] if re.search("password|secret|token", key, re.IGNORECASE)]
        assert not [
            key for key in secret if not key.endswith("_FILE") or not one["data"][key].startswith("/")
        ]


# What may go at once, and where it is


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
@pytest.mark.parametrize("name", NAMES)
def test_one_of_each_may_be_away_for_a_drain_and_never_none(name: str, folder: str) -> None:
    budgets = kubernetes.of_kind(folder, "PodDisruptionBudget")
    assert budgets.keys() == set(NAMES)
    # With minAvailable as many as there are no node could be drained.
    assert budgets[name]["spec"] == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": workload(name, folder)["spec"]["selector"],
    }


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
@pytest.mark.parametrize("name", NAMES)
def test_pods_are_spread_over_zones_and_machines_and_all_run_when_a_zone_is_away(
    name: str, folder: str
) -> None:
    spread = kubernetes.pod(workload(name, folder))["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for one in spread:
        assert one["maxSkew"] == 1
        assert one["whenUnsatisfiable"] == "ScheduleAnyway"
        assert one["labelSelector"] == workload(name, folder)["spec"]["selector"]


def test_there_are_two_of_what_answers_and_three_workers() -> None:
    replicas = {name: workload(name)["spec"]["replicas"] for name in NAMES}
    assert replicas == {"bff": 2, "transactions": 3, "antifraud": 2, "envoy": 2}


@pytest.mark.parametrize("folder", OVERLAYS)
@pytest.mark.parametrize("name", ["bff", "antifraud", "envoy"])
def test_a_new_one_is_ready_before_an_old_one_goes(name: str, folder: str) -> None:
    strategy = workload(name, folder)["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


# Stopping


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
@pytest.mark.parametrize("name", ["bff", "transactions"])
def test_a_worker_has_time_to_finish_what_it_has_begun(name: str, folder: str) -> None:
    pause = kubernetes.container(workload(name, folder)).get("lifecycle", {}).get("preStop", {})
    drains = kubernetes.environment(folder, name).get("DRAIN_TIMEOUT")
    drain = float(drains or Settings.model_fields["drain_timeout"].default)
    # It drains at the stop, and once more as its partitions are revoked; then it closes its connections.
    least = pause.get("sleep", {}).get("seconds", 0) + 2 * drain + 5
    assert kubernetes.pod(workload(name, folder))["terminationGracePeriodSeconds"] >= least


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_a_bff_is_out_of_its_service_before_it_stops_answering(folder: str) -> None:
    assert kubernetes.container(workload("bff", folder))["lifecycle"] == {
        "preStop": {"sleep": {"seconds": 5}}
    }


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_envoy_sends_its_clients_away_before_it_ends(folder: str) -> None:
    (*_, command) = kubernetes.container(workload("envoy", folder))["lifecycle"]["preStop"]["exec"]["command"]
    assert "POST /healthcheck/fail" in command
    assert "/dev/tcp/127.0.0.1/9901" in command
    pause = int(re.search(r"sleep (\d+)$", command)[1])  # type: ignore[index]
    assert kubernetes.pod(workload("envoy", folder))["terminationGracePeriodSeconds"] > pause


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_antifraud_has_time_for_the_calls_under_way(folder: str) -> None:
    assert kubernetes.pod(workload("antifraud", folder))["terminationGracePeriodSeconds"] >= DRAIN_SECONDS + 5
    # Envoy has the new one's address before the next old one goes: CoreDNS keeps an answer for 30 s.
    assert workload("antifraud", folder)["spec"]["minReadySeconds"] > 30


# The workers and their partitions


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_only_a_stateful_set_may_give_its_pods_names_in_the_group(folder: str) -> None:
    """A Deployment has two generations alive during an update, and members of one name fence each other."""
    named = {
        name
        for name in NAMES
        if any("GROUP_INSTANCE_ID" in variable for variable in kubernetes.environment(folder, name))
    }
    assert all(workload(name, folder)["kind"] == "StatefulSet" for name in named)
    # As long as the app has no such setting nobody is named; when it has one, the workers should be.
    assert named == ({"transactions"} if "group_instance_id" in Settings.model_fields else set())


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_workers_share_the_partitions_evenly(folder: str) -> None:
    for name in ("bff", "transactions"):
        assert kubernetes.environment(folder, name)["TOPIC_PARTITIONS"] == str(PARTITIONS)
        assert workload(name, folder)["spec"].get("replicas", DIVISORS[0]) in DIVISORS


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_workers_start_together_and_are_updated_one_by_one(folder: str) -> None:
    spec = workload("transactions", folder)["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec.get("updateStrategy", {"type": "RollingUpdate"}) == {"type": "RollingUpdate"}
    assert spec["minReadySeconds"] >= 10


# Scaling by lag


def scaled() -> dict[str, Any]:
    (one,) = kubernetes.of_kind("overlays/production", "ScaledObject").values()
    return dict(one["spec"])


def trigger(name: str) -> dict[str, Any]:
    (one,) = (one for one in scaled()["triggers"] if one["name"] == name)
    return dict(one)


def modifiers() -> dict[str, str]:
    return dict(scaled()["advanced"]["scalingModifiers"])


def wanted(lag: float, store_retries: float, workers: float) -> float:
    """How many workers KEDA's formula asks for. Its language is expr-lang, whose `a ? b : c` is not Python's."""
    asked, then, otherwise = re.fullmatch(r"(.+) \? (.+) : (.+)", modifiers()["formula"]).groups()  # type: ignore[union-attr]
    names = {"lag": lag, "store_retries": store_retries, "workers": workers}
    value = eval(f"({then}) if ({asked}) else ({otherwise})", {"__builtins__": {}}, names)  # noqa: S307
    return float(value) / float(modifiers()["target"])


def test_the_workers_are_scaled_from_two_to_the_partitions() -> None:
    assert scaled()["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": workload("transactions")["kind"],
        "name": "transactions",
    }
    assert (scaled()["minReplicaCount"], scaled()["maxReplicaCount"]) == (2, PARTITIONS)
    # A number beside KEDA's would be a scale event each time the manifests are applied.
    assert "replicas" not in workload("transactions", "overlays/production")["spec"]


def test_the_lag_is_that_of_the_workers_on_the_topic_that_they_read() -> None:
    said = trigger("lag")["metadata"]
    assert trigger("lag")["type"] == "kafka"
    assert said["bootstrapServers"] == kubernetes.environment("overlays/production", "bff")["KAFKA_BROKERS"]
    assert said["consumerGroup"] == TRANSACTIONS.name
    assert said["topic"] == topics.OF_AGENT["transactions"]
    (reset,) = (
        word.value.value
        for word in ast.walk(ast.parse(Path(bootstrap.__file__).read_text()))
        if isinstance(word, ast.keyword) and word.arg == "consumer_auto_offset_reset"
        if isinstance(word.value, ast.Constant)
    )
    assert said["offsetResetPolicy"] == reset
    assert said["ensureEvenDistributionOfPartitions"] == "true"


def test_a_partition_that_does_not_move_is_no_reason_for_more_workers() -> None:
    assert trigger("lag")["metadata"]["excludePersistentLag"] == "true"
    # Asked twice within a moment, every partition would seem not to move.
    assert trigger("lag")["useCachedMetrics"] is True
    assert scaled()["pollingInterval"] >= 10


def test_a_worker_more_is_for_what_one_does_in_the_seconds_that_are_tolerated() -> None:
    report = (compose.ROOT / "benchmarks/report.md").read_text()
    section = report.split("## What the customers' history costs")[1].split("\n## ")[0]
    rate, *_ = re.findall(r"^\| this worker \| ([\d,]+) \|", section, re.MULTILINE)  # the first table's
    threshold = trigger("lag")["metadata"]["lagThreshold"]
    assert threshold == modifiers()["target"]
    assert 3 <= float(threshold) / float(rate.replace(",", "")) <= 5


def test_workers_follow_the_lag_while_the_store_works() -> None:
    assert wanted(lag=120_000, store_retries=0, workers=2) == 6
    assert wanted(lag=0, store_retries=0, workers=6) == 0


def test_nothing_is_scaled_while_the_store_fails() -> None:
    for lag in (0, 20_000, 1_000_000):
        assert wanted(lag, store_retries=0.5, workers=3) == 3


def test_the_store_fails_when_the_workers_say_so() -> None:
    query = trigger("store_retries")["metadata"]["query"]
    name, step = re.search(r'increase\((\w+)\{step="(\w+)"\}\[2m\]\)', query).groups()  # type: ignore[union-attr]
    assert f"{next(iter(metrics.RETRIES.describe())).name}_total" == name
    assert step == Pipeline.store.__name__
    # No such series: nobody looks, and then nothing may be scaled.
    assert trigger("store_retries")["metadata"]["ignoreNullValues"] == "false"


def test_the_workers_are_counted_by_the_label_of_their_pods() -> None:
    assert trigger("workers")["type"] == "kubernetes-workload"
    label, value = trigger("workers")["metadata"]["podSelector"].split("=")
    assert workload("transactions")["spec"]["template"]["metadata"]["labels"][label] == value
    others = [name for name in NAMES if name != "transactions"]
    assert value not in [
        workload(name)["spec"]["template"]["metadata"]["labels"].get(label) for name in others
    ]


def test_workers_go_after_ten_quiet_minutes_and_a_step_at_a_time() -> None:
    down = scaled()["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == 600
    (policy,) = down["policies"]
    assert (policy["type"], policy["periodSeconds"]) == ("Percent", 600)
    # What the autoscaler makes of it, from the most to the fewest: every step shares the partitions evenly.
    seen = [scaled()["maxReplicaCount"]]
    while seen[-1] > scaled()["minReplicaCount"]:
        seen.append(max(scaled()["minReplicaCount"], int(seen[-1] * (1 - policy["value"] / 100))))
    assert seen == [12, 3, 2]


def test_workers_come_all_at_once_after_half_a_minute() -> None:
    least, most = scaled()["minReplicaCount"], scaled()["maxReplicaCount"]
    up = scaled()["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"]
    assert up == {
        "stabilizationWindowSeconds": 30,
        "policies": [{"type": "Percent", "value": 100 * (most - least) / least, "periodSeconds": 60}],
    }


# Who may talk to whom

#: With TLS in production.
PORTS = {
    "overlays/production": {"redis": 6379, "registry": 8081, "scylla": 9142, "kafka": 9093},
    "overlays/local": {"redis": 6379, "registry": 8081, "scylla": 9042, "kafka": 9092},
}
#: From, to, port; a namespace has a slash behind it.
OURS = {
    ("clients/", "bff", 5001),
    ("monitoring/", "bff", 5006),
    ("bff", "bff", 5006),
    ("bff", "transactions", 5006),
    ("monitoring/", "transactions", 5006),
    ("transactions", "envoy", 5005),
    ("bff", "envoy", 9901),
    ("monitoring/", "envoy", 9901),
    ("envoy", "antifraud", 5004),
    ("bff", "antifraud", 5004),
    ("monitoring/", "antifraud", 5014),
    # Nodes, jobs and operator, on every port.
    ("scylla", "scylla", 0),  # the operator's jobs too
    ("scylla-operator/", "scylla", 0),
    ("scylla-manager/", "scylla", 0),
}


def opened(overlay: str) -> set[tuple[str, str, int]]:
    """Who has to be let in."""
    servers = PORTS[overlay].items()
    return OURS | {
        *((caller, server, port) for caller in ("bff", "transactions") for server, port in servers),
        ("keda/", "kafka", PORTS[overlay]["kafka"]),
    }


#: Who answers for names: the cluster's DNS, or NodeLocal DNSCache, whose address is its own page's.
DNS = ("kube-dns", "node-local-dns", "169.254.20.10/32")


def who(peer: dict[str, Any]) -> str:
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"])
    pods = list(peer.get("podSelector", {}).get("matchLabels", {}).values())
    if pods:
        return str(pods[0])
    ((label, value),) = peer["namespaceSelector"]["matchLabels"].items()
    return "clients/" if label == "payments/client" else f"{value}/"


def let_in(overlay: str) -> set[tuple[str, str, int]]:
    """What policies and Kafka's listener accept."""
    found = set()
    for folder in (overlay, kubernetes.NEIGHBOURS[overlay]):
        for policy in kubernetes.of_kind(folder, "NetworkPolicy").values():
            for rule in policy["spec"].get("ingress", []):
                (target,) = policy["spec"]["podSelector"]["matchLabels"].values()
                numbers = [port["port"] for port in rule.get("ports", [{"port": 0}])]
                found |= {(who(peer), target, number) for peer in rule["from"] for number in numbers}
    (kafka,) = kubernetes.of_kind(kubernetes.NEIGHBOURS[overlay], "Kafka").values()
    for listener in kafka["spec"]["kafka"]["listeners"]:
        found |= {(who(peer), "kafka", listener["port"]) for peer in listener["networkPolicyPeers"]}
    return found


def let_out(folder: str) -> set[tuple[str, str, int]]:
    """What policies let our pods ask; neighbours by their namespace alone."""
    found = set()
    for policy in kubernetes.of_kind(folder, "NetworkPolicy").values():
        for rule in policy["spec"].get("egress", []):
            selected = policy["spec"]["podSelector"].get("matchLabels", {"": "everyone"})
            (caller,) = selected.values()
            found |= {(caller, who(peer), port["port"]) for peer in rule["to"] for port in rule["ports"]}
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_is_let_in_but_who_has_to_be(overlay: str) -> None:
    assert let_in(overlay) == opened(overlay)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_our_pods_ask_whom_they_have_to_ask_and_nobody_else(folder: str) -> None:
    neighbours = {"redis", "registry", "scylla", "kafka"}
    assert let_out(folder) == {
        (caller, "payments-data/" if server in neighbours else server, port)
        for caller, server, port in opened(folder)
        if caller in NAMES
    } | {("everyone", name, 53) for name in DNS}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_scylladbs_cleanup_jobs_may_run_beside_a_node_and_reach_it(overlay: str) -> None:
    """The operator gives them the racks' podAntiAffinity and the label scylla/cluster (its MakeJobs)."""
    folder = kubernetes.NEIGHBOURS[overlay]
    (cluster,) = kubernetes.of_kind(folder, "ScyllaCluster").values()
    for rack in cluster["spec"]["datacenter"]["racks"]:
        assert rack["placement"]["podAntiAffinity"].keys() == {
            "preferredDuringSchedulingIgnoredDuringExecution"
        }
    of_nodes = kubernetes.of_kind(folder, "NetworkPolicy")["scylla"]["spec"]
    assert {"podSelector": of_nodes["podSelector"]} in of_nodes["ingress"][-1]["from"]


@pytest.mark.parametrize(("folder", "types"), [("base", ["Ingress", "Egress"]), ("neighbours", ["Ingress"])])
def test_what_no_policy_names_is_closed(folder: str, types: list[str]) -> None:
    closed = kubernetes.of_kind(folder, "NetworkPolicy")["nothing-else"]["spec"]
    assert closed == {"podSelector": {}, "policyTypes": types}


def test_a_policy_is_of_pods_that_there_are_and_of_namespaces_that_we_make_or_name() -> None:
    for folder in kubernetes.APPLIED:
        for name, policy in kubernetes.of_kind(folder, "NetworkPolicy").items():
            selected = policy["spec"]["podSelector"].get("matchLabels")
            if selected and name != "scylla":  # its pods are the operator's
                labels = kubernetes.workloads(folder)[name]["spec"]["template"]["metadata"]["labels"]
                assert selected.items() <= labels.items()
    assert kubernetes.of_kind("overlays/production", "Namespace").keys() == {"payments"}
    assert kubernetes.of_kind("neighbours", "Namespace").keys() == {"payments-data"}

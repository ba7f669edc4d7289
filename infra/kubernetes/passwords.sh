# New passwords for the production overlays: `sh infra/kubernetes/passwords.sh FOLDER` makes a folder of files for two
# Secrets, payments/ for who asks and payments-data/ for the servers, and roles.cql, which ScyllaDB is told once.
# docs/kubernetes.md says what to do with them, and how to change them: then `… FOLDER NAME`, with another name.
set -eu
name=${2:-payments}
umask 077
mkdir "$1" "$1/payments" "$1/payments-data"
cd "$1"

new() { openssl rand -hex 24; }
kafka=$(new) cassandra=$(new) superuser=$(new) redis=$(new) registry=$(new)

printf %s "$kafka" > payments/kafka
printf %s "$cassandra" > payments/cassandra
printf %s "rediss://$name:$redis@redis.payments-data:6379/0" > payments/redis-url
printf %s "https://$name:$registry@registry.payments-data:8081/apis/ccompat/v7" > payments/registry-url

printf %s "$kafka" > payments-data/kafka
cat > payments-data/redis.acl <<ACL
user default off
user $name on >$redis ~* &* +@all
ACL
cat > payments-data/users.properties <<USERS
quarkus.http.auth.basic=true
quarkus.http.auth.permission.all.paths=/*
quarkus.http.auth.permission.all.policy=authenticated
quarkus.security.users.embedded.plain-text=true
quarkus.security.users.embedded.users.$name=$registry
quarkus.security.users.embedded.roles.$name=user
USERS

cat > roles.cql <<CQL
CREATE ROLE "$name" WITH PASSWORD = '$cassandra' AND LOGIN = true;
CQL
# What everybody knows of a new ScyllaDB.
[ "$name" != payments ] || echo "ALTER ROLE cassandra WITH PASSWORD = '$superuser';" >> roles.cql

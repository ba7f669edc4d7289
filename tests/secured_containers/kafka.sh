#!/bin/sh
# Kafka's own scripts, which the hub's image has: this is mounted under both names.
set -eu
case $0 in
  *-storage.sh) program=kafka.tools.StorageTool ;;
  *) program=kafka.Kafka ;;
esac
classes=$(python -c 'from infra.native.artifacts import class_path; print(class_path("kafka"))')
# shellcheck disable=SC2086 # several words each
exec java -XX:TieredStopAtLevel=1 $KAFKA_HEAP_OPTS $KAFKA_LOG4J_OPTS -cp "$classes" "$program" "$@"

"""Kafka as its image on the hub starts it: the image's own program makes the configuration and formats the storage.

The KAFKA_ variables of docker-compose.yml are appended to the mounted server.properties; two are Java's options.
"""

import os
import subprocess

from infra.native.artifacts import class_path
from infra.native.java import QUICK_COMPILER, java

MOUNTED, MADE = "/mnt/shared/config", "/tmp/kafka"  # noqa: S108 - the container's, which nobody else has
CLUSTER = "5L6g3nShT-eMCtK--X86sw"  # the image's default; storage that was formatted with it stays as it is


def main() -> None:
    """Become the broker."""
    os.makedirs(MADE, exist_ok=True)
    classes = ("-cp", class_path("kafka"))
    folders = (
        "--default-configs-dir",
        MOUNTED,
        "--mounted-configs-dir",
        MOUNTED,
        "--final-configs-dir",
        MADE,
    )
    wrapper = java(QUICK_COMPILER, *classes, "kafka.docker.KafkaDockerWrapper", "setup", *folders)
    done = subprocess.run(
        wrapper, env={"CLUSTER_ID": CLUSTER, **os.environ}, capture_output=True, text=True, check=False
    )
    # It formats anew at every start, fails at the second, and the hub's image looks at its words as well.
    if done.returncode and "already formatted" not in done.stderr:
        raise SystemExit(done.stdout + done.stderr)
    options = [*os.environ["KAFKA_HEAP_OPTS"].split(), *os.environ["KAFKA_LOG4J_OPTS"].split()]
    broker = java(QUICK_COMPILER, *options, *classes, "kafka.Kafka", f"{MADE}/server.properties")
    os.execv(broker[0], broker)  # noqa: S606 - a signal to the container reaches the broker


if __name__ == "__main__":
    main()

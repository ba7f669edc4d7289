"""An Envoy with the stack's addresses that does not retry, check health or eject a replica."""

from __future__ import annotations

import os
import re
from pathlib import Path

from infra.native import envoy

#: Keys of the cluster, with everything below them.
TAKEN_OUT = re.compile(
    r"^ {6}(health_checks|outlier_detection):.*\n(?:^(?: {7,}.*| {0,}#.*)?\n)*", re.MULTILINE
)


def bare(text: str) -> str:
    """The configuration without the safeguards against a dead replica."""
    return TAKEN_OUT.sub("", text).replace("num_retries: 3", "num_retries: 0")


def main() -> None:
    """Become that Envoy."""
    command = envoy.command()
    config = Path(command[command.index("-c") + 1])
    config.write_text(bare(config.read_text()))
    os.execv(command[0], command)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()

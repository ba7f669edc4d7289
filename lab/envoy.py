"""The stack's Envoy, with relays in front of replicas: `python -m lab.envoy antifraud-1=PORT`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.native import envoy, ports


def relayed(text: str, relays: Mapping[str, int]) -> str:
    """The configuration with the replicas' ports replaced; `relays`: replica -> port."""
    for name, port in relays.items():
        text = text.replace(f"port_value: {ports.endpoints(name)[0].port} ", f"port_value: {port} ")
    return text


def main(arguments: list[str]) -> None:
    """Become that Envoy."""
    relays = {name: int(port) for name, _, port in (given.partition("=") for given in arguments)}
    command = envoy.command()
    config = Path(command[command.index("-c") + 1])
    config.write_text(relayed(config.read_text(), relays))
    os.execv(command[0], command)  # noqa: S606 - no shell


if __name__ == "__main__":
    main(sys.argv[1:])

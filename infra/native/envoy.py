"""Envoy, the proxy in front of the antifraud replicas."""

import hashlib

from infra.native.paths import INFRA, ROOT, run
from infra.native.ports import endpoints
from infra.native.wheels import binary


def command() -> list[str]:
    """The command that starts Envoy."""
    config = run() / "envoy.yaml"
    config.write_text(settings((INFRA / "envoy" / "envoy.yaml").read_text()))
    # Envoys on one machine share memory by this id: each clone's has its own.
    base_id = int(hashlib.sha256(str(ROOT).encode()).hexdigest()[:7], 16)
    return [str(binary("envoy")), "-c", str(config), "--base-id", str(base_id), "--log-level", "warning"]


def settings(text: str) -> str:
    """The file's 127.0.0.1 and 5005 stand for Envoy's own address, wherever that is."""
    return text.replace("port_value: 5005", f"port_value: {endpoints('envoy')[0].port}")

"""Envoy, the proxy in front of the antifraud replicas."""

import hashlib
import json
from pathlib import Path
from typing import Any

from infra.native import secure
from infra.native.certificates import Pair
from infra.native.paths import INFRA, ROOT, run
from infra.native.ports import endpoints
from infra.native.wheels import binary

SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105


def command() -> list[str]:
    """The command that starts Envoy."""
    config = run() / "envoy.yaml"
    text = settings((INFRA / "envoy" / "envoy.yaml").read_text())
    config.write_text(
        with_mtls(text, run(), secure.server(), secure.worker(), secure.trusted()) if secure.is_on() else text
    )
    # Envoys on one machine share memory by this id: each clone's has its own.
    base_id = int(hashlib.sha256(str(ROOT).encode()).hexdigest()[:7], 16)
    return [str(binary("envoy")), "-c", str(config), "--base-id", str(base_id), "--log-level", "warning"]


def settings(text: str) -> str:
    """The file's 127.0.0.1 and 5005 stand for Envoy's own address, wherever that is."""
    return text.replace("port_value: 5005", f"port_value: {endpoints('envoy')[0].port}")


def with_mtls(text: str, folder: Path, server: Pair, client: Pair, trusted: Path) -> str:
    """envoy.yaml with what it has for mTLS: `server` to the workers, `client` to the replicas.

    The files that name the certificates are written to the folder.
    """
    secrets = {
        "server": {"tls_certificate": _pair(server)},
        "worker": {"tls_certificate": _pair(client)},
        "trusted": {"validation_context": {"trusted_ca": {"filename": str(trusted)}}},
    }
    for name, secret in secrets.items():
        path = folder / f"envoy-{name}.yaml"
        # JSON is YAML too.
        path.write_text(json.dumps({"resources": [{"@type": SECRET, "name": name, **secret}]}))
        text = text.replace(f"/etc/envoy/{name}.yaml", json.dumps(str(path)))
    return text.replace("# mtls: ", "")


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "certificate_chain": {"filename": str(pair.certificate)},
        "private_key": {"filename": str(pair.key)},
    }

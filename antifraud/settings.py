"""A replica's settings, read once from the environment; a wrong value is reported in one line."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any


class WrongSettingError(ValueError):
    """A setting that cannot be used; the text names it."""


@dataclass(frozen=True)
class Settings:
    """Each field is read from the environment variable with its name in capitals."""

    antifraud_listen_host: str = "127.0.0.1"  # 0.0.0.0 in containers
    antifraud_port: int = 5004
    antifraud_replica: str = "antifraud-1"  # named in every answer: who decided
    # A transaction is rejected when its probability of being good is below this. The same for both replicas,
    # so that the same transaction gets the same verdict from either. (0.7 and 0.4 were the old system's.)
    approved_threshold: float = 0.5
    antifraud_metrics_port: int = 0  # 0: no metrics
    # Versions, such as v1-1a2b3c4d (docs/models.md). The model that decides; by default the folder's own model.json.
    antifraud_model: str = ""
    # A second model, whose scores are recorded and never acted upon; by default none.
    antifraud_shadow: str = ""
    # PEM files: the certificate that is shown, its key, the authorities of which a client must show one. None: plain.
    antifraud_tls_certificate: str = ""
    antifraud_tls_key: str = ""
    antifraud_tls_ca: str = ""
    allow_insecure: str = ""  # 1: other machines may reach a port without TLS
    antifraud_models: str = ""  # the folder of models; by default antifraud/trained


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings; an empty variable counts as not set."""
    parsers: dict[str, Callable[[str], Any]] = {
        "antifraud_port": _port,
        "antifraud_metrics_port": partial(_port, name="ANTIFRAUD_METRICS_PORT"),
        "approved_threshold": _share,
    }
    given = {field.name: environment.get(field.name.upper()) for field in fields(Settings)}
    files = [f"antifraud_tls_{kind}" for kind in ("certificate", "key", "ca")]
    if any(given[name] for name in files) and (missing := [name for name in files if not given[name]]):
        raise WrongSettingError(
            f"{', '.join(missing).upper()} is not set; TLS needs all of {', '.join(files).upper()}"
        )
    settings = Settings(**{name: parsers.get(name, str)(text) for name, text in given.items() if text})
    if not (settings.antifraud_tls_ca or settings.allow_insecure == "1" or _is_loopback(settings)):
        raise WrongSettingError(
            f"other machines reach {settings.antifraud_listen_host} (ANTIFRAUD_LISTEN_HOST). Set "
            f"{', '.join(files).upper()}, or ALLOW_INSECURE=1 where nobody else gets there. See docs/security.md"
        )
    return settings


def _is_loopback(settings: Settings) -> bool:
    try:
        return ipaddress.ip_address(settings.antifraud_listen_host).is_loopback
    except ValueError:
        return settings.antifraud_listen_host == "localhost"


def _port(text: str, name: str = "ANTIFRAUD_PORT") -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        raise WrongSettingError(f"{name} must be a port from 1 to 65535, not {text!r}")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:  # false for NaN too
        raise WrongSettingError(f"APPROVED_THRESHOLD must be a number from 0 to 1, not {text!r}")
    return share

"""TLS of a replica's port: it shows a certificate, and takes calls from those that show one of its authority."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import grpc

from antifraud.settings import Settings, WrongSettingError


def credentials(settings: Settings) -> Any:
    """gRPC's, None where the port is plain; WrongSettingError. gRPC itself would take any file and refuse all calls."""
    certificate, key, ca = (
        settings.antifraud_tls_certificate,
        settings.antifraud_tls_key,
        settings.antifraud_tls_ca,
    )
    if not certificate:
        return None
    read = {
        name: _read(name, path)
        for name, path in (
            ("ANTIFRAUD_TLS_CERTIFICATE", certificate),
            ("ANTIFRAUD_TLS_KEY", key),
            ("ANTIFRAUD_TLS_CA", ca),
        )
    }
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, lambda: "")
    except ssl.SSLError as error:
        raise WrongSettingError(
            f"ANTIFRAUD_TLS_CERTIFICATE {certificate} with ANTIFRAUD_TLS_KEY {key}: no certificate in PEM with "
            f"its key, which has no password ({error.reason})"
        ) from error
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise WrongSettingError(f"ANTIFRAUD_TLS_CA {ca} has no certificate in PEM") from error
    pair = read["ANTIFRAUD_TLS_KEY"], read["ANTIFRAUD_TLS_CERTIFICATE"]
    return grpc.ssl_server_credentials([pair], read["ANTIFRAUD_TLS_CA"], require_client_auth=True)


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise WrongSettingError(f"{name} {path} cannot be read: {type(error).__name__}") from error

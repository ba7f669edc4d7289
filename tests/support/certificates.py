"""Certificates of an authority of our own, made with the openssl program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path


def authority(folder: Path, name: str = "authority") -> Pair:
    """One that clients may trust."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    files = ("-keyout", str(pair.key), "-out", str(pair.certificate))
    _openssl("req", "-x509", *NEW_KEY, *files, "-subj", f"/CN={name}", "-days", "2")
    return pair


def certificate(by: Pair, folder: Path, name: str = "server", days: int = 2) -> Pair:
    """A server's on loopback, of this authority; with fewer than 0 days it has expired."""
    pair, request = Pair(folder / f"{name}.pem", folder / f"{name}.key"), str(folder / f"{name}.csr")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    _openssl(
        *("req", *NEW_KEY, "-keyout", str(pair.key), "-out", request),
        *("-subj", f"/CN={name}", "-addext", names),
    )
    _openssl(
        *("x509", "-req", "-in", request, "-CA", str(by.certificate), "-CAkey", str(by.key)),
        *("-CAcreateserial", "-days", str(days), "-copy_extensions", "copy", "-out", str(pair.certificate)),
    )
    return pair


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=20)

"""Certificates of an authority of our own, made with the openssl program; the keys are their owner's alone."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
LOOPBACK = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path


def authority(folder: Path, name: str = "authority", days: int = 2) -> Pair:
    """One that others may trust."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    files = ("-keyout", str(pair.key), "-out", str(pair.certificate))
    _openssl("req", "-x509", *NEW_KEY, *files, "-subj", f"/CN={name}", "-days", str(days))
    return _private(pair)


def certificate(
    by: Pair, folder: Path, name: str = "server", days: int = 2, hosts: Iterable[str] = LOOPBACK
) -> Pair:
    """A certificate of this authority for these hosts; with fewer than 0 days it has expired."""
    pair, request = Pair(folder / f"{name}.pem", folder / f"{name}.key"), str(folder / f"{name}.csr")
    names = "subjectAltName=" + ",".join(f"{_kind(host)}:{host}" for host in hosts)
    _openssl(
        *("req", *NEW_KEY, "-keyout", str(pair.key), "-out", request),
        *("-subj", f"/CN={name}", "-addext", names),
    )
    _openssl(
        *("x509", "-req", "-in", request, "-CA", str(by.certificate), "-CAkey", str(by.key)),
        *("-CAcreateserial", "-days", str(days), "-copy_extensions", "copy", "-out", str(pair.certificate)),
    )
    return _private(pair)


def lasts(certificate: Path, days: int) -> bool:
    """Whether it is still valid in so many days."""
    seconds = str(days * 24 * 3600)
    asked = ["openssl", "x509", "-in", str(certificate), "-noout", "-checkend", seconds]
    return subprocess.run(asked, check=False, capture_output=True, timeout=20).returncode == 0


def _kind(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "DNS"
    return "IP"


def _private(pair: Pair) -> Pair:
    pair.key.chmod(0o600)
    return pair


def _openssl(*arguments: str) -> None:
    if not shutil.which("openssl"):
        raise SystemExit("certificates are made with the program openssl, and there is none: install it")
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=20)

"""The artifacts in the lock files (infra/*/jgo.lock.toml), and their paths in the cache."""

import hashlib
import tomllib
from pathlib import Path
from typing import NamedTuple

from infra.native.paths import INFRA, cache, forget_setup

JAVA_SERVERS = ("kafka", "cassandra", "registry")


class Artifact(NamedTuple):
    """One locked file of a Maven repository."""

    group: str
    name: str
    version: str
    packaging: str
    classifier: str
    sha256: str

    @property
    def path(self) -> Path:
        """The path of the verified file in the cache."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        file = f"{self.name}-{self.version}{classifier}.{self.packaging}"
        return cache() / "maven" / self.group.replace(".", "/") / self.name / self.version / file


def locked(server: str) -> list[Artifact]:
    """The artifacts of one Java server, as locked."""
    lock = tomllib.loads((INFRA / server / "jgo.lock.toml").read_text())
    return [
        Artifact(
            d["groupId"], d["artifactId"], d["version"], d["packaging"], d.get("classifier", ""), d["sha256"]
        )
        for d in lock["dependencies"]
    ]


def is_intact(path: Path, sha256: str) -> bool:
    """Whether the file is there, complete and unchanged."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def class_path(server: str) -> str:
    """The class path of one Java server."""
    return ":".join(str(_fetched(server, artifact.path)) for artifact in locked(server))


def registry_home() -> Path:
    """Directory of the unpacked registry."""
    return cache() / f"registry-{locked('registry')[0].version}"


def registry_jar() -> Path:
    """The jar that starts the registry."""
    return _fetched("registry", registry_home() / "quarkus-run.jar")


def _fetched(server: str, path: Path) -> Path:
    if not path.exists():
        forget_setup()
        raise SystemExit(f"{server}: {path.name} is not in the cache: run `make setup`")
    return path

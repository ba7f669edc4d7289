"""`make up SECURE=1 KAFKA=3`: every part with TLS and a password, a worker and a broker killed, everything counted.

One broker with passwords is in tests/integration/test_secured.py, three without in the soak.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from infra.native import ports, procfile, stack
from infra.native.paths import ROOT
from tests.support import http, plainly

pytestmark = pytest.mark.long

SENT = 150
PARTS = (
    *("kafka", "kafka-3", "kafka-2's controller", "cassandra-2", "redis"),
    *("antifraud-1", "envoy", "registry"),
)


@dataclass
class Other:
    """A stack of its own beside the tests' one, which is down meanwhile."""

    folder: Path

    def native(self, *words: str) -> str:
        """One of the stack's commands."""
        return self._done([sys.executable, "-m", "infra.native", *words])

    def command(self, *words: str) -> str:
        """One of the app's, with the stack's settings, as the Makefile calls it."""
        data = f"{self.folder}/.stack/data"
        script = f'. "{data}/secure/environment"; export KAFKA_BROKERS=$(cat "{data}/brokers"); exec "$@"'
        return self._done(["sh", "-c", script, "-", sys.executable, "-m", "faust", "-A", "app.main", *words])

    def _done(self, command: list[str]) -> str:
        environment = os.environ | {"FAUST_PAYMENTS_ROOT": str(self.folder), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Other]:
    secured = Other(tmp_path_factory.mktemp("secured-stack"))
    shutil.copy(ROOT / "Procfile", secured.folder)
    stack.down()
    try:
        secured.native("up", "--secure", "--kafka", "3", "--only", ",".join(without_generator(3)))
        yield secured
    finally:
        secured.native("down")
        stack.up(only=without_generator())


def without_generator(brokers: int = 1) -> list[str]:
    return [name for name in procfile.names(counts={"kafka": brokers}) if name != "generator"]


def all_is_there(other: Other, ids: list[str]) -> None:
    for one in ids:
        http.final(one, 60)
    assert f"{len(ids):,}" in other.command("verify")


def test_a_secured_stack_decides_once_and_stores_all_while_a_worker_and_a_broker_die(other: Other) -> None:
    ids = [http.taken() for _ in range(SENT)]
    other.native("kill", "transactions")
    ids += [http.taken() for _ in range(SENT)]
    other.native("start", "transactions")
    other.native("kill", "kafka-2")
    ids += [http.taken() for _ in range(SENT)]
    other.native("start", "kafka-2")
    all_is_there(other, ids)
    assert "transaction_created" in other.command("lag")
    assert str(len(ids)) in other.native(
        "cqlsh", "cassandra-1", "--execute", "SELECT count(*) FROM transactions.transactions"
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_plain_question_gets_no_answer(other: Other, part: str) -> None:
    name, _, controller = part.partition("'s ")
    assert plainly.refusal(name, ports.endpoints(name)[bool(controller)]) is not None


def test_no_password_is_in_a_log_or_in_a_process_words(other: Other) -> None:
    secrets = [path.read_text() for path in (other.folder / ".stack/data/secure").glob("*.password")]
    assert len(secrets) == 6
    logs = {path.name: path.read_text(errors="replace") for path in (other.folder / ".stack/logs").iterdir()}
    words = {
        str(process.pid): " ".join(process.info["cmdline"] or ())
        for process in psutil.process_iter(["cmdline"])
    }
    assert {
        name for name, text in (logs | words).items() if any(secret in text for secret in secrets)
    } == set()


def sent(other: Other) -> int:
    """How many transactions there are, all of which agree."""
    said = other.command("verify", "--json")
    return int(json.loads(said[said.index("{") :])["counts"]["sent"])


def test_a_backup_of_three_secured_brokers_is_restored_whole(other: Other, tmp_path: Path) -> None:
    """With their passwords, their number and what each of them holds."""
    ids = [http.taken() for _ in range(SENT)]
    before = sent(other)
    other.native("backup", str(tmp_path / "backup"))
    http.taken()
    other.native("down")
    shutil.rmtree(other.folder / ".stack/data")
    other.native("restore", str(tmp_path / "backup"))
    other.native("up", "--only", ",".join(without_generator(3)))
    for one in ids:
        http.final(one, 60)
    assert sent(other) == before
    http.final(http.taken(), 60)

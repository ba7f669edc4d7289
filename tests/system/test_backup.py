"""Everything is deleted, and comes back: up to its moment from a backup taken under load, all of it from the topics."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.native import stack
from infra.native.paths import DATA, ROOT
from reconciliation.readers import PATH
from tests.support import commands, http, log
from tests.support.load import customers, nothing_lost
from tests.support.traffic import posted

pytestmark = pytest.mark.long

RATE = 60.0
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def kept() -> Iterator[Path]:
    """Where the stack's data lie while those of the test are in their place."""
    aside = DATA.with_name("data.of-the-tests")
    yield aside
    stack.down()
    shutil.rmtree(DATA, ignore_errors=True)
    aside.rename(DATA)
    up()


def recovered_from_the_topics_alone() -> None:
    """Cassandra, Redis and the snapshots of histories thrown away; Kafka and the registry are what is left."""
    stack.down()
    for name in ("cassandra-1", "cassandra-2", "cassandra-3", "redis"):
        shutil.rmtree(DATA / name)
    shutil.rmtree(DATA / "history", ignore_errors=True)  # of a short log there is none
    up()
    assert "replay" in commands.done("replay")


def up() -> None:
    stack.up()
    stack.stop("generator")


#: Of a subject that no worker registers at its start.
OTHERS = "/subjects/of-another-team-value/versions"


def answers(ids: list[str]) -> set[int]:
    return {http.call("GET", f"{PATH}/{id_}").status for id_ in ids}


def native(*arguments: str) -> str:
    command = [sys.executable, "-m", "infra.native", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_restore_has_all_up_to_the_backups_moment_once_and_goes_on(kept: Path, tmp_path: Path) -> None:
    before = posted(300)
    schema = {"schema": json.dumps({"type": "fixed", "name": "theirs", "size": 7})}
    status, registered = log.registry(OTHERS, schema)
    assert status == 200, registered
    backup = tmp_path / "backup"
    with customers(RATE) as calls:
        time.sleep(4)
        began = time.monotonic()
        said = native("backup", str(backup))
        ended = time.monotonic()
        time.sleep(4)
    print(said)  # noqa: T201 - how long nothing was answered
    before += [one.transaction_id for one in calls.answers if one.transaction_id and one.answered < began]
    after = [one.transaction_id for one in calls.answers if one.transaction_id and one.sent > ended]
    assert len(before) > 400
    assert len(after) > 100

    stack.down()
    DATA.rename(kept)
    native("restore", str(backup))
    up()

    nothing_lost(before)
    status, found = log.registry(f"{OTHERS}/latest")
    assert (status, found.get("id")) == (200, registered["id"]), "what no worker registers anew"
    # A 503 says that a node which may have it has not joined yet.
    log.wait_until(lambda: answers(after) == {404}, 60, "none of those from after it is there")
    code, said = commands.run("verify", within=300)
    assert code == 0, said
    nothing_lost(posted(100))


def test_the_topics_alone_are_enough_to_have_all_of_it_again() -> None:
    before = posted(300)
    label = http.call("POST", f"{PATH}/{before[0]}/label", b'{"label": "fraud"}', JSON)
    assert label.status == 201, label
    nothing_lost(before)
    recovered_from_the_topics_alone()
    nothing_lost(before)
    assert (http.shown(before[0]) or {})["label"] == "fraud"
    code, said = commands.run("verify", within=300)
    assert code == 0, said
    nothing_lost(posted(100))

"""Several models on the stack: a second one beside the verdicts, the past decided anew, and a change under load."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from infra.native import stack
from infra.native.paths import ROOT
from tests.support import commands, log
from tests.support.dead import whole
from tests.support.feed import Feed
from tests.support.load import customers, nothing_lost

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("whole_again")]

REPLICAS = ("antifraud-1", "antifraud-2")
GROUP = "transactions"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A folder with the model that is served and another one, and their versions."""
    folder: Path = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-m", "tests.integration.second_model", str(folder)]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    first, second = said.split()
    return folder, first, second


@contextmanager
def replaced(settings: Mapping[str, str]) -> Iterator[None]:
    """One replica after the other is restarted with these settings; at the end they are as before."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        for replica in REPLICAS:
            stack.restart(replica)
    try:
        yield
    finally:
        for replica in REPLICAS:
            stack.restart(replica)
        whole()


def decided(count: int) -> None:
    """So many transactions, each with its verdict in the log."""
    Feed().send(count)
    log.wait_until(lambda: log.lag(GROUP) == 0, 60, "all are decided")


def statuses(since: log.Offsets) -> list[dict[str, Any]]:
    """What the log has since then, in each partition's order."""
    return [dict(log.decoded(record.value)) for record in log.read(log.STATUS, since)]


def said(*arguments: str) -> Any:
    """What a command prints with --json."""
    started = commands.begin(*arguments, "--json", stderr=subprocess.PIPE)
    out, errors = started.communicate(timeout=120)
    assert started.returncode == 0, errors
    return json.loads(out)


CHANGES = ("newly_rejected", "newly_accepted", "before", "after")


def test_a_second_model_is_on_record_decides_nothing_and_a_backtest_says_the_same_as_it(
    models: tuple[Path, str, str],
) -> None:
    folder, first, second = models
    ends, began = log.ends(log.STATUS), datetime.now(UTC).isoformat()
    with replaced({"ANTIFRAUD_MODELS": str(folder), "ANTIFRAUD_SHADOW": second}):
        decided(600)
        found = statuses(ends)
        assert len(found) == 600
        assert {(one["model_version"], one["shadow_version"]) for one in found} == {(first, second)}
        pairs = Counter(
            (one["status"], "rejected" if one["shadow_score"] < one["threshold"] else "accepted")
            for one in found
        )
        assert {one["status"] for one in found} == {"accepted", "rejected"}
        assert all((one["status"] == "rejected") == (one["score"] < one["threshold"]) for one in found)
        differ = pairs["rejected", "accepted"] + pairs["accepted", "rejected"]
        assert differ > 0

        log_ends = {topic: log.ends(topic) for topic in (log.STATUS, log.CREATED, log.DEAD_LETTER)}
        beside = said("disagreements", "--since", began)
        anew = said("backtest", "--model", second, "--since", began)
        assert (beside["compared"], beside["agreed"]) == (600, 600 - differ)
        assert [beside[name] for name in CHANGES] == [anew[name] for name in CHANGES]
        assert (anew["threshold"], anew["without_features"], anew["no_score"]) == (0.5, 0, 0)
        same = said("backtest", "--model", first, "--since", began)
        assert (same["compared"], same["agreed"]) == (600, 600), "the same model decides the same"
        lower = said("backtest", "--threshold", "0.1", "--since", began)
        assert lower["newly_rejected"]["total"]["transactions"] == 0
        assert lower["after"]["total"]["transactions"] == sum(one["score"] < 0.1 for one in found)
        assert {topic: log.ends(topic) for topic in log_ends} == log_ends, "something was written"

        code, words = commands.run("backtest", "--model", "v9-00000000", "--since", began)
        assert code != 0
        assert words.splitlines()[-1].endswith(f"has no model 'v9-00000000'; it has: {first}, {second}")


def test_the_model_is_changed_under_load_without_a_restart_of_a_worker_and_nothing_fails(
    models: tuple[Path, str, str],
) -> None:
    folder, first, second = models
    ends, workers = log.ends(log.STATUS), [stack.pid(name) for name in ("bff", "transactions")]
    with customers(rate=50) as load:
        time.sleep(2)
        began = time.monotonic()
        with replaced({"ANTIFRAUD_MODELS": str(folder), "ANTIFRAUD_MODEL": second}):
            took = time.monotonic() - began
            Feed().send(2000)  # micro-batches that are two calls
            time.sleep(3)
    assert [stack.pid(name) for name in ("bff", "transactions")] == workers
    assert all(answer.status == 201 for answer in load.answers)
    nothing_lost(load.ids)
    log.wait_until(lambda: log.lag(GROUP) == 0, 60, "all are decided")
    found = statuses(ends)
    assert {one["reason"] for one in found} == {None}
    assert {one["model_version"] for one in found} == {first, second}
    for replica in REPLICAS:
        here = sorted((one["decided_at"], one["model_version"]) for one in found if one["replica"] == replica)
        versions = [version for _, version in here]
        runs = [version for version, _ in groupby(versions)]
        assert runs in ([first, second], [first, second, first]), replica  # at its end it is as it was before
    batches: dict[int, set[str]] = {}
    for one in found:
        batches.setdefault(one["decided_at"], set()).add(one["model_version"])
    assert [at for at, versions in batches.items() if len(versions) > 1] == [], "a micro-batch is mixed"
    print(f"both replicas replaced in {took:.1f} s, {len(found)} verdicts")  # noqa: T201

"""Twelve containers come up healthy, are stopped and started with their data, and more workers are added."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from reconciliation import readers
from tests.containers.engine import SERVICES, compose, docker, health, kill, names, up
from tests.support import http, log, traffic
from tests.support.feed import Feed
from tests.support.load import nothing_lost

pytestmark = pytest.mark.containers

GROUP = "transactions"


@pytest.fixture
def three_workers() -> Iterator[None]:
    """The two more as docs/containers.md starts them."""
    for name in ("transactions-2", "transactions-3"):
        compose("run", "--detach", "--no-deps", "--name", name, "transactions")
    log.wait_until(lambda: sorted(map(len, log.members(GROUP))) == [1, 1, 2], 90, "each has partitions")
    yield
    docker("rm", "--force", "transactions-2", "transactions-3")


def test_all_that_the_file_names_runs_and_is_healthy() -> None:
    assert health() == dict.fromkeys(SERVICES, "healthy")


def test_down_and_up_again_the_data_are_still_there_and_agree() -> None:
    ids = traffic.posted(200)
    statuses = {id_: http.final(id_, within=30)["status"] for id_ in ids}
    nothing_lost(ids)
    verdicts = asyncio.run(readers.published(ids))
    compose("down")
    assert names() == []
    up()
    assert asyncio.run(readers.shown(ids)) == statuses
    assert asyncio.run(readers.published(ids)) == verdicts, "decided or published again"
    nothing_lost([*ids, http.taken()])
    assert "agree" in docker("exec", "bff", "faust", "-A", "app.main", "verify", within=300)


def test_three_workers_share_the_work_and_the_death_of_one_loses_nothing(three_workers: None) -> None:
    ids = Feed().send(6000)
    kill("transactions-2")
    log.wait_until(lambda: log.lag(GROUP) == 0, 120, "the other two have decided all")
    assert sorted(map(len, log.members(GROUP))) == [2, 2]
    nothing_lost([*ids, *traffic.posted(50)], within=120)

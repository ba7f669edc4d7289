"""One log line per outage of a dependency; a start is not an outage."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from app.health import dependency_monitor
from app.health.dependency_monitor import DependencyMonitor
from app.models.health import OK, Health
from app.observability import metrics
from app.observability.library_logs import DEPENDENCIES, LibraryLogs
from tests.unit.virtual_time import run

NO_TABLE = {"cassandra": Health(False, "no tables yet")}
FINE = {"cassandra": OK}
DEAD = {"cassandra": Health(False, "unavailable", "127.0.0.1:9042 refuses")}
TWO = {"cassandra": Health(True, "ok (2 of 3 nodes up)")}
ONE = {"cassandra": Health(True, "1 of 3 nodes up: no quorum")}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="app.health.dependency_monitor")
    return caplog


def looks(*rounds: tuple[dict[str, Health], int]) -> None:
    """What was found, for so many looks of a second each."""

    async def situation() -> None:
        nobody: Any = None
        watching = DependencyMonitor(nobody)
        for found, times in rounds:
            for _ in range(times):
                watching.log_changes(found)
                await asyncio.sleep(dependency_monitor.EVERY)

    run(situation())


def levels(said: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in said.records]


def test_a_normal_start_waits_and_logs_no_error(said: pytest.LogCaptureFixture) -> None:
    looks((NO_TABLE, 50), (FINE, 5))
    assert said.messages == ["Waiting for cassandra: no tables yet"]
    assert levels(said) == ["INFO"]


def test_a_dependency_that_does_not_start_is_one_error(said: pytest.LogCaptureFixture) -> None:
    looks((NO_TABLE, 120))
    assert levels(said) == ["INFO", "ERROR"]
    assert said.messages[1].startswith("cassandra is not ready: no tables yet")


def test_the_metric_is_0_during_an_outage_and_1_while_it_can_be_used() -> None:
    def up() -> float | None:
        return metrics.REGISTRY.get_sample_value("payments_dependency_up", {"dependency": "cassandra"})

    for found, expected in ((FINE, 1), (DEAD, 0), (ONE, 1), (NO_TABLE, 0)):
        looks((found, 1))
        assert up() == expected


def test_an_outage_is_named_at_once_with_its_reason_and_so_is_its_end(
    said: pytest.LogCaptureFixture,
) -> None:
    other = {"cassandra": Health(False, "unavailable", "127.0.0.2:9042 refuses")}
    looks((FINE, 1), (DEAD, 15), (other, 15), (FINE, 3))
    assert said.messages == [
        "cassandra is not ready: 127.0.0.1:9042 refuses. See `make ps`; nothing is lost meanwhile",
        "cassandra is back after 30 s",
    ]


def test_nodes_that_go_and_come_log_a_line_each_and_are_no_outage(said: pytest.LogCaptureFixture) -> None:
    looks((FINE, 5), (TWO, 5), (ONE, 5), (FINE, 5))
    assert said.messages == [
        "cassandra: ok (2 of 3 nodes up)",
        "cassandra: 1 of 3 nodes up: no quorum",
        "cassandra: ok",
    ]
    assert set(levels(said)) == {"WARNING"}


def test_a_driver_that_is_still_counting_its_nodes_logs_nothing(said: pytest.LogCaptureFixture) -> None:
    looks((ONE, 1), (TWO, 1), (FINE, 5))
    assert said.messages == []


def test_one_node_back_after_all_were_dead_is_reported_as_it_is(said: pytest.LogCaptureFixture) -> None:
    looks((FINE, 1), (DEAD, 10), (ONE, 5), (FINE, 5))
    assert said.messages[1:] == [
        "cassandra is back after 10 s",
        "cassandra: 1 of 3 nodes up: no quorum",
        "cassandra: ok",
    ]


# What the client libraries say


def heard(*situation: tuple[str, int]) -> list[str]:
    """Of what the libraries log in these seconds ("well", "dead": each look; else a message) what reaches the log."""
    said: list[str] = []

    class EventProducer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    async def play() -> None:
        libraries = LibraryLogs()
        libraries.install()
        unwell = set[str]()
        for what, times in situation:
            for _ in range(times):
                if what in ("well", "dead"):
                    unwell = {"kafka"} if what == "dead" else set()
                    await asyncio.sleep(dependency_monitor.EVERY)
                    libraries.look(unwell)
                else:
                    logging.getLogger("aiokafka.cluster").error("%s", what)

    root, handler = logging.getLogger(), EventProducer()
    before = {
        name: (one.level, one.handlers, one.propagate)
        for name in DEPENDENCIES
        if (one := logging.getLogger(name))
    }
    root.addHandler(handler)
    try:
        run(play())
    finally:
        root.removeHandler(handler)
        for name, values in before.items():
            library = logging.getLogger(name)
            library.level, library.handlers, library.propagate = values
    return said


def test_a_librarys_error_while_all_is_well_is_logged() -> None:
    assert heard(("well", 10), ("a topic is refused", 1), ("well", 10)) == ["a topic is refused"]


@pytest.mark.parametrize("first_seen_after", [1, 3])
def test_a_librarys_errors_about_an_outage_are_not_logged_before_it_is_noticed_nor_after(
    first_seen_after: int,
) -> None:
    assert (
        heard(
            ("well", 10), ("no connection", 3), ("well", first_seen_after), ("dead", 20), ("no connection", 50),
            ("well", 3), ("no connection", 1), ("well", 20),
        )
        == []
    )  # fmt: skip


def test_a_librarys_errors_while_the_worker_starts_are_not_logged() -> None:
    assert heard(("no coordinator yet", 5), ("well", 3), ("no coordinator yet", 5), ("well", 20)) == []


def test_the_same_message_is_logged_once_a_minute() -> None:
    minute = [("again", 1), ("well", 1)] * 60
    assert heard(("well", 10), *minute, *minute, ("well", 10)) == ["again"] * 2

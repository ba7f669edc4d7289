"""What is committed follows `mark_processed` alone: neither Faust's acks nor a batch in progress can move it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import InconsistentGroupProtocolError, NodeNotReadyError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.bootstrap import create_app
from app.errors import LogUnavailable
from app.messaging import consumer
from app.messaging.consumer import (
    NO_GENERATION,
    SEEKS_WITHIN,
    SHOWS_WORK_EVERY,
    BatchConsumer,
    BatchTransport,
)
from tests.unit import virtual_time
from tests.unit.virtual_time import run

THE_TOPIC = "transaction_created"
PARTITION = TP(THE_TOPIC, 0)


def consumer_of(transport_type: type[driver.Transport], committed: int) -> Any:
    """A consumer with one partition, of which `committed` offsets are done; `commits` has what it commits."""
    app = faust.App("consumer-test", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False)
    consumer: Any = transport_type(app.conf.broker_consumer, app).create_consumer(
        callback=_nobody, on_partitions_revoked=_nobody, on_partitions_assigned=_nobody
    )
    consumer.commits = []
    consumer._committed_offset[PARTITION] = committed
    consumer._read_offset[PARTITION] = committed
    consumer.assignment = lambda: {PARTITION}

    async def commit(offsets: Mapping[TP, int]) -> bool:
        consumer.commits.append(offsets[PARTITION])
        return True

    consumer._commit = commit
    return consumer


async def _nobody(_: Any) -> None:
    """Messages go nowhere here."""


class Rebalancing:
    """An app whose group has another generation each time it is asked."""

    def __init__(self) -> None:
        self.generations = count(1)

    @property
    def consumer_generation_id(self) -> int:
        return next(self.generations)


def in_a_loop(situation: Callable[[], Any]) -> None:
    async def run() -> None:
        await situation()

    asyncio.run(run())


def test_fausts_own_consumer_commits_past_a_record_at_work() -> None:
    """Why ours does not rely on acks; when this fails, Faust has been fixed."""

    async def situation() -> None:
        consumer = consumer_of(driver.Transport, committed=100)
        consumer._acked[PARTITION] = [101]  # 100 is still at work
        consumer._acked_index[PARTITION] = {101}
        assert consumer._new_offset(PARTITION) == 102

    in_a_loop(situation)


def test_an_ack_of_fausts_commits_nothing() -> None:
    async def situation() -> None:
        consumer = consumer_of(BatchTransport, committed=100)
        consumer._acked[PARTITION] = [101]
        consumer._acked_index[PARTITION] = {101}
        assert not await consumer.force_commit()
        assert consumer.commits == []

    in_a_loop(situation)


def test_what_is_finished_is_committed_once_and_never_backwards() -> None:
    async def situation() -> None:
        consumer = consumer_of(BatchTransport, committed=100)
        consumer.mark_processed(THE_TOPIC, 0, 150)
        consumer.mark_processed(THE_TOPIC, 0, 120)
        assert await consumer.force_commit()
        assert not await consumer.force_commit()
        assert consumer.commits == [150]

    in_a_loop(situation)


def test_a_revoked_partition_is_not_committed_from_what_was_finished_before() -> None:
    async def situation() -> None:
        consumer = consumer_of(BatchTransport, committed=100)
        consumer.mark_processed(THE_TOPIC, 0, 150)
        consumer._commits.forget(PARTITION)  # as on_partitions_revoked does after the commit of what is done
        assert not await consumer.force_commit()

    in_a_loop(situation)


def test_an_event_is_a_fetch_of_one_partition_and_ends_with_its_last_offset() -> None:
    async def situation() -> None:
        consumer: BatchConsumer = consumer_of(BatchTransport, committed=100)
        consumer.flow_active = True
        records = [
            SimpleNamespace(
                topic=THE_TOPIC, partition=0, offset=n, timestamp=n, timestamp_type=0, serialized_value_size=1
            )
            for n in (100, 101, 105)
        ]

        async def fetched(_: float) -> Any:
            return {PARTITION: records}, None

        cast(Any, consumer)._wait_next_records = fetched
        ((tp, message),) = [found async for found in consumer.getmany(1.0)]
        assert (tp, message.offset, message.value) == (PARTITION, 105, records)

    in_a_loop(situation)


@pytest.mark.parametrize("rebalanced", ["generation", "flow", "paused"])
def test_what_was_fetched_before_a_rebalance_is_dropped(rebalanced: str) -> None:
    async def situation() -> None:
        consumer: Any = consumer_of(BatchTransport, committed=100)
        consumer.flow_active = True
        sought = []

        async def seek() -> None:
            sought.append(1)

        async def fetched(_: float) -> Any:
            if rebalanced == "flow":
                consumer.flow_active = False
            active = set[TP]() if rebalanced == "paused" else None
            return {PARTITION: [SimpleNamespace(offset=100, timestamp=1)]}, active

        consumer._wait_next_records = fetched
        consumer.perform_seek = seek
        if rebalanced == "generation":
            consumer.app = Rebalancing()
        assert [found async for found in consumer.getmany(1.0)] == []
        assert len(sought) == (rebalanced != "generation")  # at the end of a rebalance Faust seeks

    in_a_loop(situation)


def test_from_a_revocation_to_the_next_assignment_nothing_flows_whoever_says_so() -> None:
    """Also at a worker without partitions, and where the recovery of an assignment that is over ends late."""

    async def situation() -> None:
        consumer = consumer_of(BatchTransport, committed=100)
        consumer._on_partitions_assigned = _nobody_in
        consumer.app.on_rebalance_return = lambda: None
        consumer.resume_flow()
        assert consumer.flow_active
        await consumer.on_partitions_revoked(set())
        assert not consumer.flow_active
        assert not consumer.app.flow_control.is_active()
        consumer.resume_flow()
        assert not consumer.flow_active
        await consumer.on_partitions_assigned({PARTITION}, 2)
        assert not consumer.flow_active
        consumer.resume_flow()
        assert consumer.flow_active

    in_a_loop(situation)


async def _nobody_in(_: Any, generation: int) -> None:
    """Of the group."""


def test_where_kafka_does_not_say_where_to_go_on_the_group_is_joined_anew() -> None:
    """Faust's recovery would end for good at its own time-out."""

    async def situation() -> None:
        consumer = consumer_of(BatchTransport, committed=100)
        joined = []

        async def never() -> None:
            await asyncio.Event().wait()

        async def join_anew() -> None:
            joined.append(virtual_time.now())

        consumer._thread = SimpleNamespace(seek_to_committed=never, join_anew=join_anew)
        await consumer.perform_seek()
        assert joined == [SEEKS_WITHIN]
        assert create_app("transactions").conf.broker_request_timeout > SEEKS_WITHIN
        consumer.resume_flow()
        consumer.stop_flow()
        consumer.resume_flow()
        assert not consumer.flow_active, "what was not sought does not flow"

    run(situation())


def test_what_a_shorter_log_has_at_offsets_that_were_read_is_not_dropped() -> None:
    """Faust drops what comes below its own note, silently: after a failover of Kafka new records have such offsets."""

    async def situation() -> None:
        consumer = consumer_of(BatchTransport, committed=100)
        consumer._read_offset[PARTITION] = 5000
        consumer._read_offset.update({PARTITION: 5000})
        assert consumer._read_offset[PARTITION] is None

    in_a_loop(situation)


def test_what_kafka_refuses_a_worker_in_its_group_is_logged_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """aiokafka waits until somebody has taken the error."""

    async def situation() -> None:
        consumer: Any = consumer_of(BatchTransport, committed=100)
        coordinator: Any = object.__new__(GroupCoordinator)
        coordinator._coordination_task = asyncio.create_task(asyncio.sleep(1))
        coordinator._error_consumed_fut = waits = asyncio.get_running_loop().create_future()
        coordinator._pending_exception = InconsistentGroupProtocolError()
        consumer._thread._consumer = SimpleNamespace(
            _subscription=SubscriptionState(), _coordinator=coordinator
        )
        await consumer._thread._show_work()
        assert waits.done()
        await consumer._thread._show_work()

    in_a_loop(situation)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_the_group_goes_on_where_it_has_committed_or_at_the_beginning() -> None:
    async def situation() -> None:
        consumer = consumer_of(BatchTransport, committed=100)

        async def committed(tp: TP) -> int | None:
            if tp.partition == 3:
                raise NodeNotReadyError("the group's coordinator is down")
            return {0: 150, 1: None, 2: 0}[tp.partition]

        consumer._thread = SimpleNamespace(committed=committed)
        assert await consumer.committed(THE_TOPIC, [0, 1, 2]) == {0: 150, 1: 0, 2: 0}
        with pytest.raises(LogUnavailable):
            await consumer.committed(THE_TOPIC, [0, 3])

    in_a_loop(situation)


def test_a_partition_added_to_a_live_topic_is_found_within_seconds() -> None:
    assert create_app("transactions").conf.consumer_metadata_max_age_ms <= 5_000


def test_all_in_a_group_hear_soon_that_another_worker_came_or_left() -> None:
    """Each hears of it in the answer to its next heartbeat, and who has heard waits for the last."""
    assert create_app("transactions").conf.broker_heartbeat_interval <= 0.25


def test_a_rebalance_moves_no_more_partitions_than_it_must() -> None:
    async def situation() -> None:
        app = create_app("transactions")
        made = app.consumer._thread._create_worker_consumer(app.transport)
        (assignor,) = made._partition_assignment_strategy
        made._coordinator = SimpleNamespace(generation=7)
        assignor.on_assignment(ConsumerProtocolMemberAssignment(0, [("t", [2])], b""))
        assert assignor.metadata(["t"]).user_data == b'{"t": [2]}'
        made._coordinator.generation = NO_GENERATION
        assert assignor.metadata(["t"]).user_data == b"{}"

    in_a_loop(situation)


def test_a_worker_that_holds_batches_and_fetches_nothing_stays_in_its_group() -> None:
    """aiokafka leaves it when nothing was fetched for broker_max_poll_interval; the other mode may start then."""

    async def situation() -> None:
        consumer: Any = consumer_of(BatchTransport, committed=100)
        consumer.app = SimpleNamespace(consumer_generation_id=1)
        subscription = SubscriptionState()
        coordinator = SimpleNamespace(check_errors=lambda: None)
        consumer._thread._consumer = SimpleNamespace(_subscription=subscription, _coordinator=coordinator)
        consumer._thread.call_thread = lambda call: call()
        await asyncio.sleep(900)
        staying = asyncio.create_task(consumer.stay_in_the_group())
        await asyncio.sleep(900)
        assert subscription.fetcher_idle_time <= SHOWS_WORK_EVERY
        staying.cancel()

    run(situation())


def test_the_consumer_has_everything_that_the_app_uses() -> None:
    """`app.consumer` has no type for mypy: Faust gives it."""
    app = Path(consumer.__file__).parents[1]
    asked = {
        name for path in app.rglob("*.py") for name in re.findall(r"app\.consumer\.(\w+)", path.read_text())
    }
    asked -= {"BatchConsumer"}
    assert {"mark_processed", "length", "waiting"} <= asked
    assert [name for name in sorted(asked - {"holds"}) if not hasattr(BatchConsumer, name)] == []


def test_fausts_own_look_for_agents_that_hang_says_nothing_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    """It goes by a monitor that our app has taken off: under load each look would be an error of fifteen lines."""

    async def situation() -> list[str]:
        said = []
        for transport in (driver.Transport, BatchTransport):
            consumer = consumer_of(transport, 0)
            state = SimpleNamespace(highwater=10, position=5, timestamp=300_000)
            assignment = SimpleNamespace(active=True, state_value=lambda _, state=state: state)
            subscriptions = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
            fetcher = SimpleNamespace(_subscriptions=subscriptions)
            consumer._thread._consumer = SimpleNamespace(_fetcher=fetcher)
            consumer._thread.time_started = 0.0
            consumer.app.topics.acks_enabled_for = lambda _: True
            caplog.clear()
            consumer.verify_event_path(301.0, PARTITION)
            said.append(caplog.text)
        return said

    fausts, ours = asyncio.run(situation())
    assert "Stream has not started processing" in fausts
    assert ours == ""

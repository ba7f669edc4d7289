"""An Idempotency-Key's states (free, held, acknowledged) and the answer to each call in each state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from app.errors import LogUnavailable, StoreUnavailable
from app.models.transaction import Transaction, with_id
from app.stores.idempotency_table import Entry, IdempotencyTable
from app.web.access import CLIENT
from app.web.idempotency import HEADER, Keys, Refused, key_of
from app.web.validation import InvalidRequest
from tests.unit.samples import NOW, transaction

FIRST = "017a22b2-6ae0-7000-8000-000000000001"  # its time is NOW
SECOND = "017a22b2-6ec8-7000-8000-000000000002"
LEASE = 10.0
DOWN = StoreUnavailable("no node")


class FakeTable:
    """The rows, with the guarantees of a lightweight transaction; the next calls fail as configured."""

    def __init__(self) -> None:
        self.rows: dict[str, Entry] = {}
        self.failing: list[tuple[str, bool]] = []
        self.calls: list[str] = []

    def fails(self, call: str, *, written: bool = False) -> None:
        """`written`: the row is there all the same, as after a time-out."""
        self.failing.append((call, written))

    def _apply(self, call: str, write: Callable[[], None]) -> None:
        self.calls.append(call)
        if self.failing and self.failing[0][0] == call:
            if self.failing.pop(0)[1]:
                write()
            raise DOWN
        write()

    async def take(self, key: str, entry: Entry) -> Entry:
        await asyncio.sleep(0)
        self._apply("take", lambda: self.rows.update({key: self.rows.get(key, entry)}))
        return replace(self.rows[key])

    async def take_over(self, key: str, before: Entry, after: Entry) -> bool:
        await asyncio.sleep(0)
        won = self.rows.get(key) == before and not before.acknowledged
        self._apply("take over", lambda: self.rows.update({key: after} if won else {}))
        return won

    async def acknowledge(self, key: str, entry: Entry) -> None:
        self._apply("acknowledge", lambda: self.rows.update({key: replace(entry, acknowledged=True)}))


class Kafka:
    """What was produced; the next calls are answered as said."""

    def __init__(self) -> None:
        self.records: list[Transaction] = []
        self.unknown = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def publish(self, record: Transaction) -> None:
        self.records.append(record)
        await self.answers.wait()
        if self.unknown:
            self.unknown -= 1
            raise LogUnavailable("no answer")


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.table, self.kafka, self.now = FakeTable(), Kafka(), float(NOW)
        monkeypatch.setattr("time.time", lambda: self.now)
        self.keys = self.another_process()

    def another_process(self) -> Keys:
        return Keys(self.table, LEASE)

    async def post(
        self, id_: str = FIRST, body: bytes = b"{}", keys: Keys | None = None, client: str = ""
    ) -> str:
        request = make_mocked_request("POST", "/", headers={HEADER: "k"})
        if client:
            request[CLIENT] = client
        one = transaction(transaction_id=id_, event_timestamp=0)
        return await (keys or self.keys).once(request, body, one, self.kafka.publish)

    async def refused(self, *args: Any, **kwargs: Any) -> tuple[int, str | None]:
        """Status and Retry-After."""
        with pytest.raises(Refused) as caught:
            await self.post(*args, **kwargs)
        answer = caught.value.answer
        assert json.loads(bytes(answer.body))["status"] == answer.status  # type: ignore[arg-type]
        return answer.status, answer.headers.get("Retry-After")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_a_free_key_is_reserved_then_produced_then_acknowledged(world: World) -> None:
    run(_is(world.post(), FIRST))
    assert world.table.calls == ["take", "acknowledge"]
    assert world.table.rows["k"].acknowledged
    assert [one["transaction_id"] for one in world.kafka.records] == [FIRST]


def test_each_client_with_a_token_has_keys_of_its_own(world: World) -> None:
    async def main() -> None:
        assert await world.post(client="shop") == FIRST
        assert await world.post(SECOND, body=b"another", client="another") == SECOND
        assert await world.post(SECOND, client="shop") == FIRST

    run(main())


async def _is(call: Coroutine[Any, Any, str], id_: str) -> None:
    assert await call == id_


def test_an_acknowledged_key_is_answered_from_its_row_alone(world: World) -> None:
    async def main() -> None:
        await world.post()
        assert await world.post(SECOND) == FIRST
        assert await world.post(SECOND, keys=world.another_process()) == FIRST
        assert len(world.kafka.records) == 1

    run(main())


def test_another_body_is_refused_in_every_state(world: World) -> None:
    async def main() -> None:
        world.kafka.answers.clear()
        first = asyncio.create_task(world.post())
        await _until(lambda: bool(world.kafka.records))
        assert await world.refused(body=b"other") == (422, None)  # held by this process, at work
        assert await world.refused(body=b"other", keys=world.another_process()) == (422, None)  # held
        world.kafka.answers.set()
        await first
        assert await world.refused(body=b"other") == (422, None)  # acknowledged
        assert len(world.kafka.records) == 1

    run(main())


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(100):
        await asyncio.sleep(0)
    assert holds()


def test_a_concurrent_call_is_asked_to_retry(world: World) -> None:
    async def main() -> None:
        world.kafka.answers.clear()
        first = asyncio.create_task(world.post())
        await _until(lambda: bool(world.kafka.records))
        assert await world.refused(SECOND) == (409, "1")
        assert world.table.calls == ["take"], "this process knows it without the table"
        world.now += 2.5
        assert await world.refused(SECOND, keys=world.another_process()) == (409, "8")  # the lease's rest
        world.kafka.answers.set()
        assert await first == FIRST
        assert await world.post(SECOND) == FIRST

    run(main())


def test_of_many_concurrent_calls_one_is_accepted(world: World) -> None:
    async def main() -> None:
        processes = [world.keys] * 5 + [world.another_process() for _ in range(5)]
        found = await asyncio.gather(*(world.post(keys=keys) for keys in processes), return_exceptions=True)
        assert len(world.kafka.records) == 1
        assert {one for one in found if isinstance(one, str)} == {FIRST}
        assert {one.answer.status for one in found if isinstance(one, Refused)} <= {409}

    run(main())


def test_after_an_unknown_outcome_the_same_process_finishes_it_at_once_with_the_same_record(
    world: World,
) -> None:
    async def main() -> None:
        world.kafka.unknown = 2
        for id_ in (FIRST, SECOND):
            with pytest.raises(LogUnavailable):
                await world.post(id_)
        assert await world.post(SECOND) == FIRST

    run(main())
    assert world.kafka.records == [with_id(transaction(), FIRST)] * 3
    assert world.kafka.records[0]["event_timestamp"] == NOW


def test_after_a_crash_another_process_finishes_it_once_the_lease_is_over(world: World) -> None:
    async def main() -> None:
        world.kafka.unknown = 1
        with pytest.raises(LogUnavailable):
            await world.post()
        other = world.another_process()
        world.now += LEASE - 0.5
        assert await world.refused(SECOND, keys=other) == (409, "1")
        world.now += 0.5
        assert await world.post(SECOND, keys=other) == FIRST
        assert world.table.rows["k"].acknowledged

    run(main())
    assert world.kafka.records[0] == world.kafka.records[1]


def test_of_two_that_steal_a_lease_at_once_one_succeeds(world: World) -> None:
    async def main() -> None:
        world.kafka.unknown = 1
        with pytest.raises(LogUnavailable):
            await world.post()
        world.now += LEASE
        both = [world.post(SECOND, keys=world.another_process()) for _ in range(2)]
        found = await asyncio.gather(*both, return_exceptions=True)
        assert len(world.kafka.records) == 2
        assert [one for one in found if isinstance(one, str)] == [FIRST]
        assert [one.answer.status for one in found if isinstance(one, Refused)] == [409]

    run(main())


@pytest.mark.parametrize("written", [False, True])
def test_where_the_store_cannot_answer_nothing_is_produced(world: World, written: bool) -> None:
    async def main() -> None:
        world.table.fails("take", written=written)
        assert await world.refused() == (503, "1")
        assert world.kafka.records == []
        assert await world.post(SECOND) == (FIRST if written else SECOND)  # no eternal 409
        assert len(world.kafka.records) == 1

    run(main())


@pytest.mark.parametrize("written", [False, True])
def test_a_take_over_that_the_store_cannot_confirm_produces_nothing(world: World, written: bool) -> None:
    async def main() -> None:
        world.kafka.unknown = 1
        with pytest.raises(LogUnavailable):
            await world.post()
        world.table.fails("take over", written=written)
        assert await world.refused(SECOND) == (503, "1")
        assert len(world.kafka.records) == 1
        assert await world.post(SECOND) == FIRST

    run(main())


def test_what_is_in_the_log_is_acknowledged_even_if_the_table_cannot_be_updated(world: World) -> None:
    async def main() -> None:
        world.table.fails("acknowledge")
        assert await world.post() == FIRST
        assert await world.post(SECOND) == FIRST
        assert world.kafka.records[0] == world.kafka.records[1]

    run(main())


def test_a_call_that_is_cancelled_blocks_nobody(world: World) -> None:
    async def main() -> None:
        world.kafka.answers.clear()
        first = asyncio.create_task(world.post())
        await _until(lambda: bool(world.kafka.records))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        world.kafka.answers.set()
        assert await world.post(SECOND) == FIRST

    run(main())


@pytest.mark.parametrize(
    "key", ["a", "A" * 255, "8e03978e-40d5-43dd-bc93-6894a57f9324", "~!#", '"', '""', '"a']
)
def test_a_key_is_used_as_it_is(key: str) -> None:
    assert key_of(make_mocked_request("POST", "/", headers={HEADER: key})) == key


@pytest.mark.parametrize("key", ["a", "A" * 255, "8e03978e-40d5-43dd-bc93-6894a57f9324"])
def test_a_quoted_key_is_the_same_key(key: str) -> None:
    assert key_of(make_mocked_request("POST", "/", headers={HEADER: f'"{key}"'})) == key


@pytest.mark.parametrize("key", ["", "A" * 256, '"' + "A" * 256 + '"', '"a b"', "a b", "a\tb", "é", "a\x7f"])
def test_an_invalid_key_is_reported(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        key_of(make_mocked_request("POST", "/", headers={HEADER.lower(): key}))
    assert [error["field"] for error in caught.value.errors] == [HEADER]


def test_two_keys_are_refused() -> None:
    from multidict import CIMultiDict

    headers = CIMultiDict([(HEADER, "a"), (HEADER, "b")])
    with pytest.raises(InvalidRequest):
        key_of(make_mocked_request("POST", "/", headers=headers))


class FakeCassandra:
    """Fails as often as configured; records each try's time-out."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.bounds: list[float] = []
        self.hosts: list[str] = []

    async def prepare(self, cql: str, timeout: float = 1.0) -> Any:
        return type("Statement", (), {"bind": lambda self, values: self})()

    def living_hosts(self) -> list[str]:
        return ["node-1", "node-2", "node-3"]

    async def run(self, statement: Any, timeout: float, host: str | None = None) -> list[dict[str, Any]]:
        if timeout < 10:  # not the making of the table
            self.bounds.append(timeout)
            self.hosts.append(str(host))
            self.failures -= 1
            if self.failures >= 0:
                raise DOWN
        return [{"[applied]": True}]


def on_table(cassandra: Any, *, made: bool = True) -> Entry:
    async def main() -> Entry:
        table = IdempotencyTable(cassandra, 2.0)
        if made:
            await table.make()
        return await table.take("k", Entry("hash", FIRST, "holder", 0))

    return asyncio.run(main())


def test_a_node_that_hangs_fails_no_call() -> None:
    cassandra = FakeCassandra(failures=1)
    assert on_table(cassandra).transaction_id == FIRST
    assert cassandra.bounds == [1.0, 1.0]
    assert cassandra.hosts == ["node-1", "node-2"]


def test_later_calls_begin_at_the_node_that_answered() -> None:
    cassandra = FakeCassandra(failures=1)

    async def main() -> None:
        table = IdempotencyTable(cassandra, 2.0)  # type: ignore[arg-type]
        await table.make()
        for _ in range(3):
            await table.take("k", Entry("hash", FIRST, "holder", 0))

    asyncio.run(main())
    assert cassandra.hosts == ["node-1", "node-2", "node-2", "node-2"]


def test_a_store_that_does_not_answer_is_reported_within_the_bound() -> None:
    cassandra = FakeCassandra(failures=2)
    with pytest.raises(StoreUnavailable):
        on_table(cassandra)
    assert sum(cassandra.bounds) == 2.0


def test_before_the_table_exists_nobody_waits_for_it() -> None:
    cassandra = FakeCassandra(failures=0)
    with pytest.raises(StoreUnavailable, match="not been reached"):
        on_table(cassandra, made=False)
    assert cassandra.bounds == []

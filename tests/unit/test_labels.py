"""Labels: what is accepted, that one given twice is one, that the newest counts, and what GET shows of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from app.agents import labels as agent
from app.errors import LogUnavailable, NotReadableYet, Poison, StoreUnavailable
from app.live.feed import FOLLOWED
from app.messaging import topics
from app.messaging.codec import Codec
from app.models.label import LabelRequest, StoredLabel, answered, labelled, newest_labels, unstorable_label
from app.observability import metrics
from app.processing.assignment import MicroBatch
from app.processing.back_pressure import Batch
from app.read_model.shown_labels import MAY_BE_MISSING, SILENT_FOR, ShownLabels
from app.settings import Settings
from app.stores.consistency import OneReplicaLacksIt
from app.stores.labels_table import LabelsTable, write_time
from app.web.labels import LabelCalls
from app.web.transactions import PATH
from tests.unit import site
from tests.unit.samples import NOW, transaction
from tests.unit.site import ID, Labels, Reads, calls, request
from tests.unit.virtual_time import run

LABEL = f"{PATH}/{ID}/label"
GET = request("GET", f"{PATH}/{ID}")


class Stored(Reads):
    """One transaction, pending, and one that is on its way."""

    stored: Mapping[str, Any] = MappingProxyType(
        {ID: {**transaction(transaction_id=ID), "status": "pending", "revision": 0}}
    )

    async def find(self, transaction_id: str) -> str | None:
        if transaction_id == "on-its-way":
            raise NotReadableYet("it may have been taken: no store that answers shows it yet; ask again")
        return await super().find(transaction_id)


def post(label: Any, path: str = LABEL, headers: Sequence[str] = ()) -> bytes:
    body = label if isinstance(label, bytes) else json.dumps({"label": label}).encode()
    return request("POST", path, headers, body)


def answers(*requests: bytes, published: list[dict[str, Any]] | None = None) -> list[site.Answer]:
    """The bff's answers; what it has put into the log goes to `published`."""

    def also(app: Any) -> None:
        app.resources.label = SimpleNamespace(encode=(published if published is not None else []).append)

    return calls(*requests, reads=Stored, also=also)


# POST


def test_a_first_label_is_a_201_and_its_record_has_what_a_reader_needs_without_a_look_up() -> None:
    published: list[dict[str, Any]] = []
    (answer,) = answers(post("fraud"), published=published)
    (record,) = published
    assert answer.status == 201
    assert answer.json == {
        "transaction_id": ID,
        "label": "fraud",
        "labelled_at": record["labelled_at"],
        "replaced": None,
    }
    assert {
        name: record[name] for name in ("customer_id", "merchant_id", "event_timestamp", "value_in_cents")
    } == {
        name: transaction()[name]
        for name in ("customer_id", "merchant_id", "event_timestamp", "value_in_cents")
    }
    assert Codec(topics.load_schema(topics.LABEL), 1, None).encode(record)  # type: ignore[arg-type]


def test_the_same_label_again_is_answered_with_the_same_body_and_nothing_is_published() -> None:
    published: list[dict[str, Any]] = []
    first, again = answers(post("fraud"), post("fraud"), published=published)
    assert (first.status, again.status) == (201, 200)
    assert again.body == first.body
    assert len(published) == 1


def test_another_label_replaces_it_and_the_answer_says_what() -> None:
    first, other, again, back = answers(post("fraud"), post("genuine"), post("genuine"), post("fraud"))
    assert [answer.status for answer in (first, other, again, back)] == [201, 200, 200, 200]
    assert other.json["replaced"] == {"label": "fraud", "labelled_at": first.json["labelled_at"]}
    assert again.body == other.body
    assert back.json["replaced"]["label"] == "genuine"
    times = [answer.json["labelled_at"] for answer in (first, other, back)]
    assert times == sorted(set(times)), "the newest has the highest time, within a millisecond too"


def test_get_shows_the_label_and_its_time_beside_the_ten_keys_and_a_new_tag() -> None:
    before, given, after = answers(GET, post("genuine"), GET)
    assert "label" not in before.json
    assert after.json == {**before.json, "label": "genuine", "labelled_at": given.json["labelled_at"]}
    assert after.headers["ETag"] != before.headers["ETag"]


def test_an_id_in_capitals_labels_the_same_transaction() -> None:
    first, again = answers(post("fraud"), post("fraud", f"{PATH}/{ID.upper()}/label"))
    assert again.body == first.body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"fraud", "body"),
        (b"[]", "body"),
        (b'"fraud"', "body"),
        (b"{}", "label"),
        (b'{"label": null}', "label"),
        (b'{"label": true}', "label"),
        (b'{"label": ["fraud"]}', "label"),
        (b'{"label": "Fraud"}', "label"),
        (b'{"label": "fraud "}', "label"),
        (b'{"label": "good"}', "label"),
        (b'{"label": "fra\xffud"}', "body"),
    ],
)
def test_what_is_no_label_is_refused_by_its_field_and_nothing_is_published(body: bytes, field: str) -> None:
    published: list[dict[str, Any]] = []
    (answer,) = answers(post(body), published=published)
    assert (answer.status, answer.json["errors"][0]["field"]) == (400, field)
    assert published == []


def test_the_reason_says_which_labels_there_are() -> None:
    (answer,) = answers(post("good"))
    assert answer.json["error"] == "Invalid request payload: label: must be 'fraud' or 'genuine'"


@pytest.mark.parametrize(
    ("path", "headers", "field"),
    [
        (LABEL + "?label=fraud", (), "label"),
        (f"{PATH}/a%00b/label", (), "transaction_id"),
        (LABEL, ("Content-Type: text/plain",), "Content-Type"),
        (LABEL, ("Content-Encoding: gzip",), "Content-Encoding"),
    ],
)
def test_what_is_wrong_with_the_call_is_named(path: str, headers: Sequence[str], field: str) -> None:
    (answer,) = answers(post("fraud", path, headers))
    assert (answer.status, answer.json["errors"][0]["field"]) == (400, field)


def test_unknown_fields_are_ignored_as_in_every_post() -> None:
    assert answers(post(b'{"label": "fraud", "by": "me"}'))[0].status == 201


def test_an_unknown_id_is_a_404_and_one_on_its_way_a_503() -> None:
    unknown, on_its_way, unreadable = answers(
        *(post("fraud", f"{PATH}/{id_}/label") for id_ in ("unknown", "on-its-way", "unreadable"))
    )
    assert (unknown.status, unknown.json["type"]) == (404, "/problems/transaction-not-found")
    for answer in (on_its_way, unreadable):
        assert (answer.status, answer.json["type"]) == (503, "/problems/read-model-unavailable")
        assert answer.headers["Retry-After"] == "1"


def failing(what: str, error: BaseException) -> Any:
    """Makes a call of the bff's neighbours fail."""

    async def fail(*_: Any) -> Any:
        raise error

    def also(app: Any) -> None:
        neighbour, _, name = what.partition(".")
        setattr(getattr(app.resources, neighbour), name, fail)

    return also


def test_a_label_that_kafka_does_not_acknowledge_is_a_503_that_says_so_and_is_not_shown() -> None:
    also = failing("producer.publish", LogUnavailable("no answer of Kafka within 1.8 s"))
    answer, get = calls(post("fraud"), GET, reads=Stored, also=also)
    assert (answer.status, answer.json["type"]) == (503, "/problems/label-not-acknowledged")
    assert answer.json["detail"] == "no answer of Kafka within 1.8 s; it may still be taken"
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["request_id"]
    assert "label" not in get.json


def test_without_the_present_label_nobody_knows_what_is_replaced_so_nothing_is_published() -> None:
    published: list[Any] = []

    def also(app: Any) -> None:
        failing("labels.find", StoreUnavailable("Cassandra: {'10.1.2.3:9042': ConnectionRefusedError}"))(app)
        app.resources.label = SimpleNamespace(encode=published.append)

    (answer,) = calls(post("fraud"), reads=Stored, also=also)
    assert (answer.status, answer.json["detail"]) == (503, "neither Redis nor Cassandra answers")
    assert published == []


def test_a_label_in_the_log_is_acknowledged_though_it_cannot_be_stored_now() -> None:
    also = failing("labels.store", StoreUnavailable("Cassandra: down"))
    assert calls(post("fraud"), reads=Stored, also=also)[0].status == 201


def test_before_the_log_was_reached_nothing_is_taken() -> None:
    (answer,) = calls(post("fraud"), reads=Stored, also=lambda app: setattr(app.resources, "is_open", False))
    assert (answer.status, answer.json["title"]) == (503, "Label not acknowledged")
    assert answer.json["detail"].endswith("; it was not taken")


# Several at once


class SlowLog:
    """Kafka that takes its time, and the neighbours of one bff."""

    def __init__(self, seconds: float):
        self.published: list[dict[str, Any]] = []
        self.resources: Any = SimpleNamespace(
            settings=Settings(),
            is_open=True,
            labels=Labels(),
            label=SimpleNamespace(encode=lambda record: record),
            producer=SimpleNamespace(publish=self.publish),
        )
        self._seconds = seconds

    async def publish(self, topic: str, key: str, record: Any, patience: float, headers: Any) -> None:
        assert (topic, key) == ("transaction_label", ID)
        if patience < self._seconds:
            await asyncio.sleep(patience)
            raise LogUnavailable("no answer of Kafka")
        await asyncio.sleep(self._seconds)
        self.published.append(record)


def labelled_at_once(log: SlowLog, *labels: Any) -> tuple[list[Any], list[float]]:
    """What each of these calls got, all at once, and after how many seconds."""

    async def situation() -> tuple[list[Any], list[float]]:
        view, loop = LabelCalls(log.resources, None), asyncio.get_running_loop()  # type: ignore[arg-type]
        ended: list[float] = []

        async def one(label: Any) -> Any:
            try:
                return await view._label(Stored.stored[ID], LabelRequest(label=label))
            finally:
                ended.append(loop.time() - began)

        began = loop.time()
        return await asyncio.gather(*map(one, labels), return_exceptions=True), ended

    return run(situation())


def test_a_double_click_is_one_label() -> None:
    log = SlowLog(0.05)
    found, _ = labelled_at_once(log, *["fraud"] * 5)
    assert sorted(status for _, status in found) == [200, 200, 200, 200, 201]
    assert len(log.published) == 1
    assert len({json.dumps(answered(label)) for label, _ in found}) == 1


def test_contradicting_ones_at_once_each_know_which_one_they_replace() -> None:
    log = SlowLog(0.05)
    labelled_at_once(log, "fraud", "genuine", "fraud")
    assert [(one["replaced_label"], one["label"]) for one in log.published] == [
        (None, "fraud"),
        ("fraud", "genuine"),
        ("genuine", "fraud"),
    ]
    assert log.resources.labels.held[ID] == newest_labels(log.published)[ID]  # type: ignore[arg-type]


def test_however_many_wait_for_each_other_each_is_answered_within_the_bound() -> None:
    log = SlowLog(10)
    found, ended = labelled_at_once(log, *["fraud"] * 50)
    assert all(isinstance(one, LogUnavailable) for one in found)
    assert max(ended) < Settings().publish_timeout + 0.5


# Which label counts


def given(label: Any, at: int, id_: str = ID) -> StoredLabel:
    return labelled(transaction(transaction_id=id_), label, None, at)


ONES = [given("fraud", 1), given("genuine", 2), given("fraud", 3), given("genuine", 3), given("fraud", 2)]


def test_the_newest_counts_whatever_the_order_and_however_often_each_comes() -> None:
    for order in itertools.permutations(ONES):
        assert newest_labels([*order, order[0]])[ID] == given("genuine", 3)


def test_a_label_of_a_clock_that_is_behind_is_later_than_the_one_it_replaces() -> None:
    ahead = given("fraud", NOW * 1000)
    other = labelled(transaction(transaction_id=ID), "genuine", ahead, NOW * 1000 - 60_000)
    assert other["labelled_at"] == NOW * 1000 + 1
    assert newest_labels([other, ahead])[ID]["label"] == "genuine"
    assert write_time(other) > write_time(ahead)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transaction_id": ""}, "transaction_id"),
        ({"transaction_id": "x" * 256}, "transaction_id"),
        ({"labelled_at": -1}, "labelled_at"),
        ({"labelled_at": (NOW + 3601) * 1000}, "labelled_at"),
        ({"labelled_at": NOW * 1_000_000_000}, "labelled_at"),
    ],
)
def test_a_label_of_another_producer_that_no_row_can_hold_is_refused(changes: Any, says: str) -> None:
    good: Any = given("fraud", (NOW + 3600) * 1000)
    assert unstorable_label(good, NOW) is None
    changed: Any = {**good, **changes}
    assert str(unstorable_label(changed, NOW)).startswith(says)


# The agent


def agents_step(values: Sequence[Any], table: Any) -> None:
    """Lets the agent store these records."""
    app = SimpleNamespace(topic=lambda *_, **__: None, agent=lambda *_, **__: lambda function: function)

    async def decode(found: Sequence[Any]) -> list[Any]:
        return list(found)

    resources: Any = SimpleNamespace(settings=Settings(), labels=table, label=SimpleNamespace(decode=decode))
    step = agent.register(app, resources)._steps_of([]).last
    records = [
        SimpleNamespace(topic="transaction_label", partition=2, offset=n, value=one)
        for n, one in enumerate(values)
    ]
    run(step([MicroBatch([Batch("transaction_label", 2, records, len(values))])]))  # type: ignore[arg-type]


def test_the_agent_stores_the_newest_of_each_transaction() -> None:
    table = Labels()
    agents_step(
        [given("fraud", 1), given("fraud", 1, "other"), given("genuine", 2), given("fraud", 1)], table
    )
    assert {id_: label["label"] for id_, label in table.held.items()} == {ID: "genuine", "other": "fraud"}


def test_each_kind_of_label_is_counted_from_0_on() -> None:
    metrics.LABELS.clear()
    agents_step([], Labels())
    counts = {
        sample.labels["label"]: sample.value
        for metric in metrics.LABELS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    assert counts == {"fraud": 0, "genuine": 0, "unreadable": 0}


def test_what_is_no_label_is_reported_by_place_and_the_others_are_stored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table, counter = Labels(), metrics.LABELS.labels("unreadable")
    before = counter._value.get()
    with caplog.at_level(logging.ERROR):
        agents_step([Poison("no Avro"), given("fraud", 2**62), given("fraud", 5)], table)
    assert table.held[ID]["labelled_at"] == 5
    assert counter._value.get() == before + 2
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == [
        "transaction_label[2]@0",
        "transaction_label[2]@1",
    ]


def test_a_label_is_not_finished_while_it_cannot_be_stored() -> None:
    class Down(Labels):
        async def store(self, labels: Sequence[StoredLabel]) -> None:
            raise StoreUnavailable("Cassandra: down")

    with pytest.raises(StoreUnavailable):
        agents_step([given("fraud", 1)], Down())


# GET while Cassandra does not answer


class Silent:
    """A table that answers, or not."""

    def __init__(self) -> None:
        self.is_down, self.asked = True, 0

    async def find(self, transaction_id: str, timeout: float) -> StoredLabel | None:
        self.asked += 1
        if self.is_down:
            await asyncio.sleep(timeout)
            raise StoreUnavailable("Cassandra: down")
        return given("fraud", 1)


def test_get_says_that_a_label_may_be_missing_and_asks_a_silent_store_once_a_second() -> None:
    async def situation() -> None:
        table, loop = Silent(), asyncio.get_running_loop()
        labels = ShownLabels(table)
        assert await labels.of(ID) == MAY_BE_MISSING
        began = loop.time()
        assert [await labels.of(ID) for _ in range(1000)] == [MAY_BE_MISSING] * 1000
        assert (table.asked, loop.time()) == (1, began)
        await asyncio.sleep(SILENT_FOR)
        assert await asyncio.gather(*(labels.of(ID) for _ in range(100))) == [MAY_BE_MISSING] * 100
        assert table.asked == 2
        table.is_down = False
        await asyncio.sleep(SILENT_FOR)
        assert await labels.of(ID) == {"label": "fraud", "labelled_at": 1}
        await asyncio.gather(*(labels.of(ID) for _ in range(100)))
        assert table.asked == 103

    run(situation())


def test_where_one_replica_alone_knows_of_no_label_get_says_so_and_goes_on_showing_those_it_has() -> None:
    class One:
        """One of three replicas, that has the label of ID."""

        is_down = False

        async def find(self, transaction_id: str, timeout: float) -> StoredLabel | None:
            if self.is_down:
                raise StoreUnavailable("Cassandra: down")
            if transaction_id != ID:
                raise OneReplicaLacksIt("of three")
            return given("fraud", 1)

    async def situation() -> None:
        one = One()
        labels = ShownLabels(one)
        assert await labels.of("another") == MAY_BE_MISSING
        assert await labels.of(ID) == {"label": "fraud", "labelled_at": 1}
        one.is_down = True
        assert await labels.of(ID) == MAY_BE_MISSING
        one.is_down = False
        await asyncio.sleep(SILENT_FOR)
        assert await labels.of("another") == MAY_BE_MISSING
        assert await labels.of(ID) == {"label": "fraud", "labelled_at": 1}

    run(situation())


def test_a_table_that_was_not_reached_since_the_start_is_not_waited_for() -> None:
    table = LabelsTable(None, 5)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="since the start"):
        run(table.find(ID, 1))
    with pytest.raises(StoreUnavailable, match="since the start"):
        run(table.store([given("fraud", 1)]))


def test_the_live_feed_takes_no_label_for_a_transaction_or_a_dead_letter() -> None:
    assert set(FOLLOWED) == set(topics.ALL) - {topics.LABEL, topics.MERCHANT_TOTALS}

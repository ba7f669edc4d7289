"""What a made-up system is in: a test changes it while a browser looks at it. No Kafka, no stores, no HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import time
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

PARTS = (
    *("kafka", "registry", "cassandra-1", "cassandra-2", "cassandra-3", "redis"),
    *("antifraud-1", "antifraud-2", "envoy", "bff", "transactions"),
)
ARROWS = (
    *("client>bff", "bff>kafka", "kafka>transactions", "transactions>envoy", "envoy>antifraud-1"),
    *("envoy>antifraud-2", "transactions>kafka", "kafka>bff", "bff>redis", "transactions>cassandra"),
)
DESCRIPTIONS = (
    "some purchase",
    "coffee",
    "teste sem scylla-1",
    "uma compra com uma descrição comprida, que não cabe na coluna",
    "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>",
)
KEPT = 5000
SECONDS = 900


class FakeState:
    """The parts, the transactions, and who listens."""

    def __init__(self) -> None:
        self.began = time.time()
        self.per_second = 3.0
        self.transactions: dict[str, Json] = {}
        self.verdicts: dict[str, Json] = {}
        self.parts: dict[str, Json] = {}
        self.marks: list[Json] = []
        self.answers: list[Json] = []
        self.dead_letters: list[Json] = []
        self.has_begun_anew = False  # whether the bff has looked for a minute alone
        self.lost = 0
        self.being_stored = 0
        self.is_combined = False  # whether bff and transactions are one process
        self.no_replica = False  # whether what arrives is rejected without an assessment
        self.silent = ""  # the store that cannot be asked
        self.decided_after = (0.04, 0.5)  # seconds: at least, at most
        self.deaf = False  # whether paths under /api answer 503
        self.token = ""  # what calls under /api need; empty: nothing
        self.dies_after_taking = False  # whether the next POST is taken and gets no answer
        self.keys_unknown = False  # whether a POST with an Idempotency-Key is a 503
        self.keys: dict[str, str] = {}  # Idempotency-Key -> id
        self.slow = 0.0  # seconds that they take
        self.last_look: Json | None = None  # GET /api/v1/system, while the bff looks no more
        self.listeners: dict[asyncio.Queue[bytes], str | None] = {}  # the customer that each wants
        self.asked: list[str] = []  # query strings of the streams that were opened
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        for name in PARTS:
            self.set_part(name, "up")
        self.marks.clear()
        for part in self.parts.values():
            part["since_known"] = False  # found so when the bff began

    def set_part(self, name: str, state: str, word: str = "ok", cost: str = "") -> None:
        """A part is in this state from now on."""
        now = time.time()
        known = {"since": now, "since_known": True}
        process = "main" if self.is_combined and name in ("bff", "transactions") else name
        about = {"name": name, "process": process, "state": state}
        self.parts[name] = {**about, **known, "word": word, "cost": cost}
        self.marks.append({"at": now, "part": name, "state": state})

    def combine(self) -> None:
        """bff and transactions are one process from now on."""
        self.is_combined = True
        for name in ("bff", "transactions"):
            self.set_part(name, "up")

    @property
    def vector(self) -> str:
        """The id of the newest event."""
        return f"0:{self._count},1:4,2:4,3:77"

    def send(self, kind: str, data: Json, event_id: str = "") -> None:
        """An event for everybody who listens."""
        named = f"id: {event_id}\n" if event_id else ""
        event = f"event: {kind}\n{named}data: {json.dumps(data)}\n\n".encode()
        for queue, customer in self.listeners.items():
            if customer in (None, data.get("customer_id", customer)):
                queue.put_nowait(event)

    def gap(self) -> None:
        """Everybody who listens is told that they were too slow."""
        self.send("gap", {"reason": "read too slowly", "from": "0:10,1:4", "to": "0:90,1:80"}, self.vector)

    def cut(self) -> None:
        """Every stream ends, as when the bff is killed."""
        for queue in self.listeners:
            queue.put_nowait(b"")

    async def traffic(self) -> None:
        """`per_second` transactions a second, for ever."""
        due = time.monotonic()
        while True:
            due = max(due, time.monotonic() - 1) + 1 / (self.per_second or 10)
            await asyncio.sleep(max(0, due - time.monotonic()))
            if self.per_second:
                self.take(a_request())

    def take_once(self, key: str | None, sent: Json) -> str:
        """The id of the one with this Idempotency-Key, which arrives if it has not; None: it arrives."""
        if key is None:
            return self.take(sent)
        if key not in self.keys:
            self.keys[key] = self.take(sent)
        return self.keys[key]

    def take(self, sent: Json) -> str:
        """One arrives, and is decided a moment later; its id."""
        now = time.time()
        id_ = _uuid7(now)
        names = ("customer_id", "description", "latitude", "longitude", "merchant_id")
        numbers = ("transaction_timestamp", "value_in_cents")
        entry = {name: sent[name] for name in names + numbers}
        entry |= {"transaction_id": id_, "event_timestamp": int(now), "status": "pending"}
        self.transactions[id_] = entry
        if len(self.transactions) > KEPT:
            oldest = next(iter(self.transactions))
            del self.transactions[oldest]
            self.verdicts.pop(oldest, None)
        self.send("pending", {**entry, "revision": 0})
        task = asyncio.get_running_loop().create_task(self._decide(id_))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return id_

    async def _decide(self, id_: str) -> None:
        await asyncio.sleep(random.uniform(*self.decided_after))
        while self.parts["transactions"]["state"] == "down":  # noqa: ASYNC110  # nobody tells of its return
            await asyncio.sleep(0.1)
        if id_ not in self.transactions:
            return
        self._publish(id_, _unassessed() if self.no_replica else _assessed())

    def _publish(self, id_: str, verdict: Json) -> None:
        now = verdict["decided_at"]
        self._count += 1
        self.verdicts[id_] = verdict
        entry = self.transactions[id_] = {**self.transactions[id_], "status": verdict["status"]}
        place = {"status_partition": 0, "status_offset": self._count, "published_ms": now}
        self.send("status", {**entry, **verdict, **place}, self.vector)

    def system(self) -> Json:
        """As GET /api/v1/system."""
        return self.last_look or self._look()

    def stop_looking(self, ago: float) -> None:
        """The bff answers with what it saw so many seconds ago."""
        self.last_look = self._look()
        self.last_look["at"] -= ago
        self.last_look["truth"]["at"] -= ago

    def _look(self) -> Json:
        rate = self.per_second
        pending = sum(entry["status"] == "pending" for entry in self.transactions.values())
        behind = min(40.0, pending / max(rate, 1))
        verdicts = self.verdicts.values()
        waiting = [one["decided_at"] / 1000 for one in verdicts if one["reason"] == "antifraud_unavailable"]
        arrows = [arrow.split(">") for arrow in ARROWS]
        steps = {"assess": (0.21, 0.0), "publish": (0.07, 0.0), "store": (0.33, 0.12), "commit": (0.01, 0.0)}
        return {
            "at": time.time(),
            "parts": list(self.parts.values()),
            "arrows": [
                {"from": a, "to": b, "per_second": rate * random.uniform(0.9, 1.1)} for a, b in arrows
            ],
            "steps": [
                {
                    "worker": "transactions",
                    "step": step,
                    "busy": busy,
                    "waiting": waiting,
                    "idle": 1 - busy - waiting,
                }
                for step, (busy, waiting) in steps.items()
            ],
            "lag": {
                "records": pending,
                "seconds": behind,
                "per_second": -rate if pending > 20 else 0.0,
                "seconds_to_zero": pending / rate if pending > 20 and rate else None,
                "partitions": [
                    {"partition": n, "records": pending // 4, "seconds": behind} for n in range(4)
                ],
            },
            "assessed_by": {"antifraud-1": rate * 0.52, "antifraud-2": rate * 0.48},
            "consistency": {"write": {"ALL": rate * 0.9, "QUORUM": rate * 0.1}, "read": {"QUORUM": 0.4}},
            "answers": self.answers,
            "dead_letters": {"count": len(self.dead_letters)},
            "unassessed": {"count": len(waiting), "since": min(waiting, default=None)},
            "truth": self._truth(pending),
        }

    def _truth(self, pending: int) -> Json:
        count = 120_000 + self._count + pending
        decided = count - pending
        stored = decided - self.being_stored
        state, words = self._verdict()
        return {
            "since": self.began,
            "at": time.time(),
            "acknowledged": count,
            "in_log": count,
            "decided": decided,
            "stored": stored,
            "readable": stored - self.lost,
            "pending": pending,
            "lost": self.lost,
            "twice": 0,
            "state": state,
            "words": words,
        }

    def _verdict(self) -> tuple[str, str]:
        if self.lost:
            return "wrong", f"{self.lost} stored and not shown"
        if self.silent:
            return "unknown", f"{self.silent} cannot be asked; what is there is counted later"
        words = "everything that was acknowledged is in the log; everything decided is stored and shown, once"
        return "ok", words

    def series(self) -> Json:
        """As GET /api/v1/system/series: a quarter of an hour with one outage."""
        end = int(time.time())
        at = [float(second) for second in range(end - SECONDS + 1, end + 1)]
        out = range(500, 545)
        points = [_point(n, is_out=n in out) for n in range(SECONDS)]
        names = (
            "posts",
            "verdicts",
            "post_p50",
            "post_p99",
            "end_to_end_p50",
            "end_to_end_p99",
            "lag",
            "retries",
        )
        if self.has_begun_anew:
            return {"every": 1.0, "at": at[-60:], **{name: [1.0] * 60 for name in names}, "marks": self.marks}
        ends = [{"at": at[n], "part": "transactions", "state": s} for n, s in ((500, "down"), (545, "up"))]
        columns = {name: [point[n] for point in points] for n, name in enumerate(names)}
        return {"every": 1.0, "at": at, **columns, "marks": [*ends, *self.marks]}

    def history(self, id_: str) -> Json | None:
        """As GET /api/v1/transactions/{id}/history."""
        entry, verdict = self.transactions.get(id_), self.verdicts.get(id_)
        if entry is None:
            return None
        created = {name: value for name, value in entry.items() if name != "status"}
        status = {**created, **verdict} if verdict else None
        return {
            "transaction_id": id_,
            "steps": list(_steps(int(id_[:8] + id_[9:13], 16), verdict)),
            "record": _record("transaction_created", 4711, created),
            "status_record": _record("transaction_status", 4690, status) if status else None,
        }


def _assessed() -> Json:
    score = random.betavariate(4, 2)
    return {
        "status": "accepted" if score > 0.5 else "rejected",
        "revision": 1,
        "decided_at": int(time.time() * 1000),
        "score": score,
        "reason": None,
        "model_version": "2026-11-01",
        "threshold": 0.5,
        "replica": random.choice(["antifraud-1", "antifraud-2"]),
    }


def _unassessed() -> Json:
    nothing = dict.fromkeys(("score", "model_version", "threshold", "replica"))
    return {**_assessed(), **nothing, "status": "rejected", "reason": "antifraud_unavailable"}


def a_request() -> Json:
    """What a customer sends."""
    return {
        "value_in_cents": random.randint(50, 1_345_454_553),
        "description": random.choice(DESCRIPTIONS),
        "customer_id": f"customer-{random.randint(1, 100)}",
        "merchant_id": "merchant-7",
        "transaction_timestamp": 1624079756,
        "latitude": 12.5,
        "longitude": 12.0445,
    }


def a_dead_letter(number: int) -> Json:
    """The one at offset `number`."""
    raw = b'{"not": "Avro", "number": %d}' % number + os.urandom(24)
    return {
        "at": time.time() - number,
        "id": f"0:{number}",
        "reason": "not Confluent-framed Avro: the first byte is 123, not 0",
        "origin": {"topic": "transaction_created", "partition": 1, "offset": 800 + number},
        "key": "some-key",
        "bytes": len(raw),
        "base64": base64.b64encode(raw).decode(),
        "can_be_sent_back": number != 2,
    }


def an_answer(status: int, ago: float) -> Json:
    """A problem answer, `ago` seconds ago."""
    is_bad = status == 400
    return {
        "at": time.time() - ago,
        "method": "POST" if is_bad else "GET",
        "path": "/api/v1/transactions",
        "status": status,
        "title": "Invalid request payload" if is_bad else "Read model unavailable",
        "type": "/problems/invalid-request" if is_bad else "/problems/read-model-unavailable",
        "detail": "value_in_cents: must be an integer" if is_bad else "neither Redis nor Cassandra answers",
        "request_id": f"{random.getrandbits(64):016x}",
    }


def _uuid7(now: float) -> str:
    millis, tail = f"{int(now * 1000):012x}", f"{random.getrandbits(72):018x}"
    return f"{millis[:8]}-{millis[8:]}-7{tail[:3]}-8{tail[3:6]}-{tail[6:]}"


def _point(number: int, *, is_out: bool) -> tuple[float | None, ...]:
    if number < 90:
        return (None,) * 8
    posts = 3 + random.random() + (8 if 300 < number < 420 else 0)
    late = 0.1 + 0.1 * random.random() + (2 if is_out else 0)
    lag = (number - 500) * 4.0 if is_out else float(random.choice([0, 0, 1, 2]))
    quick = 0.006 + 0.002 * random.random()
    return (
        posts,
        0.0 if is_out else posts,
        quick,
        0.02 + quick,
        0.034 + quick,
        late,
        lag,
        2.0 if is_out else 0.0,
    )


def _steps(began: int, verdict: Json | None) -> Iterator[Json]:
    yield {"step": "received", "at_ms": began, "known": True, "note": ""}
    created = {"topic": "transaction_created", "partition": 2, "offset": 4711}
    yield {"step": "logged", "at_ms": began + 5, "known": True, "note": "", **created}
    if verdict is None:
        yield {"step": "stored", "at_ms": None, "known": False, "note": "no row yet"}
        yield {
            "step": "shown",
            "at_ms": None,
            "known": True,
            "note": "in Redis",
            "store": "redis",
            "revision": 0,
        }
        return
    at, published = verdict["decided_at"], {"topic": "transaction_status", "partition": 2, "offset": 4690}
    yield {"step": "assessed", "at_ms": at, "known": True, "note": "", **verdict, "batch_size": 3}
    yield {"step": "published", "at_ms": at + 9, "known": True, "note": "", "revision": 1, **published}
    note = "the row is there; when it was written is not kept"
    yield {"step": "stored", "at_ms": None, "known": True, "note": note, "consistency": "ALL"}
    yield {"step": "shown", "at_ms": None, "known": True, "note": "in Redis", "store": "redis", "revision": 1}


def _record(topic: str, offset: int, value: Json) -> Json:
    raw = b"\0\0\0\0\1" + json.dumps(value).encode()[:180]
    place = {"topic": topic, "partition": 2, "offset": offset, "schema_id": 1}
    return {**place, "bytes": len(raw), "base64": base64.b64encode(raw).decode(), "json": value}

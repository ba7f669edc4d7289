"""The read model in Redis: the newest transactions, with a sign whether they are all of the newest.

Keys: transactions:order (sorted set), transactions:entries (hash), transactions:complete (present: nothing newer than
the oldest entry is missing; how many there were when that was said, so that fewer means that some were evicted),
transactions:trimmed (present: older ones exist, in Cassandra only), transactions:looked (written with each look, since
a replica that takes no writes grows old), transactions:filling (which refill is under way: one that is gone means that
the data were lost meanwhile; a bff's goes by itself some seconds after the bff, a replay's stays until it has come to
its end, also when it is killed, and nobody else sets the sign before), transactions:filled (which refill set the sign).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app import connections
from app.errors import BeingRebuilt, Overloaded, StoreUnavailable
from app.models.status import (
    ASSESSMENT_FIELDS,
    PENDING,
    Shown,
    TransactionStatus,
    assessed,
    key_of_row,
    shown,
)
from app.models.transaction import Transaction
from app.observability import metrics, tracing
from app.observability.timing import Timed
from app.settings import Settings

ORDER, ENTRIES = "transactions:order", "transactions:entries"
COMPLETE, TRIMMED = "transactions:complete", "transactions:trimmed"
FILLING, FILLED = "transactions:filling", "transactions:filled"
#: Seconds after its last write until a refill counts as given up: the bff that began it has died.
FILLING_FOR = 10.0
LOOKED = "transactions:looked"
LOOKED_FOR = 60  # seconds that it stays
SCRIPT = (Path(__file__).parent / "upsert_recent.lua").read_text()

#: Entries below the floor are removed: between them some may be missing.
SIGN = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  if ARGV[2] ~= '' then
    redis.call('SET', KEYS[3], 1)
    for _, key in ipairs(redis.call('ZRANGEBYLEX', KEYS[4], '-', '(' .. ARGV[2])) do
      redis.call('ZREM', KEYS[4], key)
      redis.call('HDEL', KEYS[5], key)
    end
  end
  redis.call('SET', KEYS[2], redis.call('ZCARD', KEYS[4]))
  redis.call('SET', KEYS[6], ARGV[1])
  redis.call('DEL', KEYS[1])
end
"""

#: Where one of the two keys was evicted or deleted, what is left of them is made one again, and the sign goes.
MEND = """
for _, key in ipairs(redis.call('HKEYS', KEYS[2])) do redis.call('ZADD', KEYS[1], 0, key) end
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('HEXISTS', KEYS[2], key) == 0 then redis.call('ZREM', KEYS[1], key) end
end
redis.call('DEL', KEYS[3])
"""

#: Gives who fills: us, or a replay or another bff that is at it already.
BEGIN = """
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[2]) ~= ARGV[2] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return ARGV[1]
"""

#: Another bff may have taken over, or a replay, whose filling must not end by itself.
GO_ON = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end"

#: How the fillings of a replay begin: of Redis alone, or of Redis and Cassandra's table.
REPLAY, REPLAY_OF_BOTH = "replay:", "replay:both:"

#: What the detail of an entry has at least: one that a bff of an earlier release wrote may lack some. The fields of the
#: list are the contract's, the same in every release.
OF_PENDING = {*Shown.__annotations__, "revision"}
OF_DECIDED = {*OF_PENDING, *ASSESSMENT_FIELDS, "reasons"}
#: Entries looked at in one go.
SCANNED = 500

#: Statuses a script call: a script holds Redis, and with it every reader, while it runs.
SCRIPT_ENTRIES = 500

#: Calls at once. Redis does one after another and so do we: more of them would only share the time that each has, and
#: a busy moment of ours would look like a dead Redis. Writes do not wait behind hundreds of lists.
READS, WRITES = 16, 4
#: Seconds that a call may wait for its turn: 800 clients at once are served within less.
QUEUE_TIMEOUT = 5.0

Entry = tuple[str, int, str]


class BeingRefilled(StoreUnavailable):
    """Another bff fills Redis; `filling` is its token."""

    def __init__(self, filling: str):
        super().__init__("another bff fills Redis")
        self.filling = filling


@dataclass(frozen=True, slots=True)
class Page:
    """Entries newest first, as JSON texts; `last_key` is where the next page begins, None when all were given."""

    entries: list[str]
    last_key: str | None
    complete: bool
    trimmed: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back Redis goes: its oldest sort keys; `complete` and `trimmed` as in a page."""

    oldest: list[str]
    complete: bool
    trimmed: bool


class RecentTransactions:
    """The newest transactions in Redis; every call may raise StoreUnavailable within its deadline."""

    def __init__(self, settings: Settings):
        self._keep = settings.recent_transactions
        self._settings = settings
        url = settings.redis_url.get_secret_value()
        self._refusal = connections.Refusal(lambda: connections.look(url, settings, "REDIS_URL"))
        self._timeout = settings.redis_timeout
        self._turns, self._turns_of_writes = asyncio.Semaphore(READS), asyncio.Semaphore(WRITES)
        self._failures = 0
        self._redis: Any = None
        self._remember: Any = None
        self._sign: Any = None
        self._begin: Any = None
        self._go_on: Any = None
        self._filler = uuid.uuid4().hex  # what our own refills begin with: we may begin anew at once
        self._mend: Any = None

    async def open(self) -> None:
        """Make the pool; it connects by itself and again, so that nothing can fail here."""
        self._redis = Redis.from_url(
            **connections.redis(self._settings),
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            decode_responses=True,
            max_connections=READS + WRITES,
            retry=None,
        )
        self._remember = self._redis.register_script(SCRIPT)
        self._sign = self._redis.register_script(SIGN)
        self._begin = self._redis.register_script(BEGIN)
        self._go_on = self._redis.register_script(GO_ON)
        self._mend = self._redis.register_script(MEND)

    async def close(self) -> None:
        """Disconnect."""
        self._refusal.close()
        if self._redis is not None:
            await self._redis.aclose()

    async def ping(self) -> None:
        """Redis answers, or StoreUnavailable."""
        try:
            await self._asked(self._redis.ping(), "ping")
        except StoreUnavailable as exc:
            if why := self._why_refused(exc.__cause__):
                raise StoreUnavailable(f"Redis: {why}") from exc
            raise
        self._refusal.ended()

    def _why_refused(self, exc: BaseException | None) -> str | None:
        """Where Redis lives and does not take us, why."""
        if isinstance(exc, AuthenticationError | NoPermissionError):
            return "it refuses the name or the password in REDIS_URL"
        if isinstance(exc.__cause__ if exc else None, ConnectionRefusedError):
            return None
        # InvalidResponse: it answered in TLS. A plain one takes a handshake for half a line, and waits.
        is_tls = connections.redis_uses_tls(self._settings)
        errors = RedisConnectionError, InvalidResponse, *([RedisTimeoutError] if is_tls else [])
        return self._refusal.reason() if isinstance(exc, errors) else None

    async def remember(self, entries: Sequence[Entry], *, again: bool = False) -> None:
        """Keep these (see `entry_of`), each unless a higher or the same revision is there, and trim to the bound.

        `again`: one of the same revision is written again, as this release writes it.
        """
        for start in range(0, len(entries), SCRIPT_ENTRIES):
            arguments = [part for entry in entries[start : start + SCRIPT_ENTRIES] for part in entry]
            call = self._remember(
                keys=[ORDER, ENTRIES, TRIMMED, COMPLETE], args=[self._keep, int(again), *arguments]
            )
            with _span("EVALSHA"):
                await self._asked(call, "write")

    async def newest(self, limit: int, before: str | None) -> Page:
        """The newest `limit` entries, or those before a sort key."""
        highest = f"({before}" if before else "+"
        pipe = self._redis.pipeline(transaction=True)
        pipe.zrevrangebylex(ORDER, highest, "-", start=0, num=limit)
        pipe.exists(TRIMMED)
        _ask_whether_whole(pipe)
        with _span("ZREVRANGEBYLEX"):
            keys, trimmed, *signs = await self._asked(pipe.execute())
        found = await self._asked(self._redis.hmget(ENTRIES, keys)) if keys else []
        entries = [entry.split("\n")[1] for entry in found if entry]
        last = keys[-1] if len(keys) == limit else None
        # Emptied or trimmed between the two reads: what is left of the page is not all of it.
        whole = _is_whole(*signs) and len(entries) == len(keys)
        return Page(entries, last, whole, bool(trimmed))

    async def find(self, key: str) -> str | None:
        """One transaction with its assessment, as JSON, by its sort key."""
        with _span("HGET"):
            entry = await self._asked(self._redis.hget(ENTRIES, key))
        return detail_of(entry) if entry else None

    async def has_lacking(self) -> bool:
        """Whether there is an entry that lacks what this release shows; looks at all of them."""
        cursor = None
        while cursor != 0:
            cursor, found = await self._asked(self._redis.hscan(ENTRIES, cursor or 0, count=SCANNED))
            if any(lacks_fields(text.rpartition("\n")[2]) for text in found.values()):
                return True
        return False

    async def revisions_of(self, keys: Sequence[str]) -> dict[str, int]:
        """The revisions of those that are there, by sort key."""
        found = await self._asked(self._redis.hmget(ENTRIES, keys)) if keys else []
        return {key: int(entry.partition("\n")[0]) for key, entry in zip(keys, found, strict=True) if entry}

    async def reach(self, count: int) -> Reach:
        """How far back Redis goes, with its oldest `count` sort keys."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.zrange(ORDER, 0, count - 1)
        pipe.exists(TRIMMED)
        _ask_whether_whole(pipe)
        oldest, trimmed, *signs = await self._asked(pipe.execute())
        return Reach(oldest, _is_whole(*signs), bool(trimmed))

    async def is_complete(self) -> bool:
        """Whether all is there that the sign was set for, and Redis takes what comes: StoreUnavailable if it does not.

        What an eviction or a DEL has left is repaired first, as the basis of a refill.
        """
        pipe = self._redis.pipeline(transaction=True)
        pipe.set(LOOKED, 1, ex=LOOKED_FOR)
        _ask_whether_whole(pipe)
        _, *signs = await self._asked(pipe.execute())
        if signs[1] != signs[2]:
            await self._asked(self._mend(keys=[ORDER, ENTRIES, COMPLETE]), "write")
        return _is_whole(*signs)

    async def eviction_policy(self) -> str | None:
        """Redis' maxmemory-policy; None where it does not say (managed ones may not)."""
        try:
            found = await self._redis.config_get("maxmemory-policy")
        except (RedisError, OSError, TimeoutError):
            return None
        return str(found.get("maxmemory-policy", "")) or None

    async def begin_filling(self) -> str:
        """A refill begins; returns the token that `mark_complete` takes at its end.

        BeingRebuilt: a replay does it; BeingRefilled: another bff does.
        """
        ours = f"{self._filler}:{uuid.uuid4().hex}"
        begin = self._begin(keys=[FILLING], args=[ours, self._filler, int(FILLING_FOR * 1000)])
        filling: str = await self._asked(begin, "write")
        if filling.startswith(REPLAY_OF_BOTH):
            raise BeingRebuilt("a replay writes both stores again; one that was killed: make replay RESUME=1")
        if filling.startswith(REPLAY):
            raise StoreUnavailable("a replay fills Redis; one that was killed: make replay RESUME=1")
        if filling != ours:
            raise BeingRefilled(filling)
        return filling

    async def go_on_filling(self, filling: str) -> None:
        """The refill has written something: for a while nobody else begins one."""
        go_on = self._go_on(keys=[FILLING], args=[filling, int(FILLING_FOR * 1000)])
        await self._asked(go_on, "write")

    async def was_filled_by(self, filling: str) -> bool:
        """Whether it was this refill that set the sign."""
        return bool(await self._asked(self._redis.get(FILLED)) == filling)

    async def begin_rebuilding(self, *, with_the_table: bool) -> str:
        """A replay begins, the sign goes; returns the token that `is_filled_by` and `mark_complete` take."""
        filling = (REPLAY_OF_BOTH if with_the_table else REPLAY) + uuid.uuid4().hex
        pipe = self._redis.pipeline(transaction=True)
        pipe.set(FILLING, filling)
        pipe.delete(COMPLETE)
        await self._asked(pipe.execute(), "write")
        return filling

    async def is_filled_by(self, filling: str) -> bool:
        """Whether this one is still under way: not if Redis was emptied since, or somebody else began."""
        return bool(await self._asked(self._redis.get(FILLING)) == filling)

    async def mark_complete(self, filling: str, *, floor: str | None) -> None:
        """Set the sign, after a refill; not if Redis was emptied since it began.

        `floor`: a sort key; older transactions exist, in Cassandra only. None: there are no others.
        """
        keys = [FILLING, COMPLETE, TRIMMED, ORDER, ENTRIES, FILLED]
        await self._asked(self._sign(keys=keys, args=[filling, floor or ""]), "write")

    async def _asked(self, call: Any, request: str = "read") -> Any:
        """The answer to one call (`request`: read, write or ping); Overloaded when its turn does not come in time."""
        failures = self._failures
        turns = self._turns_of_writes if request == "write" else self._turns
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT):
                await turns.acquire()
        except BaseException as exc:
            call.close()
            if isinstance(exc, TimeoutError):
                raise Overloaded(f"no turn at Redis within {QUEUE_TIMEOUT:g} s") from exc
            raise
        try:
            if self._failures != failures:  # the queue of a dead Redis does not try it one by one
                call.close()
                raise StoreUnavailable("Redis did not answer the calls before this one")
            with Timed(metrics.STORE_SECONDS, "redis", request):
                return await call
        except (RedisError, OSError, TimeoutError) as exc:
            self._failures += 1
            raise StoreUnavailable(f"Redis: {type(exc).__name__}: {exc}") from exc
        finally:
            turns.release()


def _span(operation: str) -> AbstractContextManager[Any]:
    return tracing.calling(f"{operation} redis", {"db.system.name": "redis", "db.operation.name": operation})


def _ask_whether_whole(pipe: Any) -> None:
    pipe.get(COMPLETE)
    pipe.zcard(ORDER)
    pipe.hlen(ENTRIES)


def _is_whole(sign: str | None, listed: int, entries: int) -> bool:
    """The sign alone may outlive what it speaks of: memory that is full, a DEL by hand."""
    return sign is not None and listed == entries and listed >= int(sign)


def entry_of(status: TransactionStatus) -> Entry:
    """What `remember` keeps of a status."""
    key = key_of_row(status)
    listed = _json(shown(status, status["status"]))
    detail = f"{listed[:-1]},{_json(assessed(status))[1:]}"  # one object of both
    return key, status["revision"], f"{status['revision']}\n{listed}\n{detail}"


def detail_of(text: str) -> str:
    """What GET of one transaction shows, of the text of an entry."""
    return text.split("\n")[2]


def lacks_fields(detail: str) -> bool:
    """Whether a bff of an earlier release wrote it, which knew less of a transaction than this one shows."""
    try:
        found = from_json(detail)
        return not (OF_DECIDED if found["revision"] else OF_PENDING) <= found.keys()
    except (ValueError, LookupError, TypeError):
        return True  # by hand


def pending_entry(transaction: Transaction) -> Entry:
    """What `remember` keeps of a transaction that nobody has decided yet."""
    key = key_of_row(transaction)
    text = _json(shown(transaction, "pending"))
    return key, PENDING, f'{PENDING}\n{text}\n{text[:-1]},"revision":0}}'


def _json(record: Mapping[str, Any]) -> str:
    """A quarter of the time of the standard library's."""
    return to_json(record).decode()


def entries_of(statuses: Iterable[TransactionStatus]) -> list[Entry]:
    """The entries of a batch."""
    return [entry_of(status) for status in statuses]

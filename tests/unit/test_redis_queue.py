"""The queue for Redis is bounded, and is not mistaken for a Redis that does not answer."""

from __future__ import annotations

import asyncio

from redis.exceptions import TimeoutError as NoAnswer

from app.errors import Overloaded, StoreUnavailable
from app.settings import Settings
from app.stores.recent_transactions import QUEUE_TIMEOUT, READS, RecentTransactions
from tests.unit import virtual_time


class Slow:
    """A Redis whose every call takes as long; `dead`: and then fails."""

    def __init__(self, seconds: float, *, dead: bool = False) -> None:
        self.seconds, self.dead = seconds, dead
        self.at_once = self.most = self.calls = 0

    async def ping(self) -> None:
        self.calls += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self.seconds)
        self.at_once -= 1
        if self.dead:
            raise NoAnswer("Timeout reading from socket")


async def pinged(redis: Slow, clients: int) -> list[BaseException | None]:
    recent = RecentTransactions(Settings())
    recent._redis = redis
    return await asyncio.gather(*(recent.ping() for _ in range(clients)), return_exceptions=True)


def test_eight_hundred_calls_at_once_are_all_answered_one_after_another() -> None:
    redis = Slow(0.05)
    assert virtual_time.run(pinged(redis, 800)) == [None] * 800
    assert redis.most == READS


def test_a_call_that_waits_too_long_for_its_turn_is_refused_and_redis_is_not_asked() -> None:
    redis = Slow(QUEUE_TIMEOUT * 0.75)
    answers = virtual_time.run(pinged(redis, 3 * READS))
    assert [type(answer) for answer in answers if answer] == [Overloaded] * READS
    assert redis.calls == 2 * READS


def test_the_queue_of_a_dead_redis_does_not_wait_for_it_one_after_another() -> None:
    redis = Slow(0.25, dead=True)

    async def situation() -> float:
        answers = await pinged(redis, 800)
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        return virtual_time.now()

    assert virtual_time.run(situation()) < 0.5
    assert redis.calls == READS


def test_what_is_written_does_not_wait_behind_hundreds_of_lists() -> None:
    redis = Slow(0.05)

    async def situation() -> float:
        recent = RecentTransactions(Settings())
        recent._redis = redis
        lists = [asyncio.create_task(recent.ping()) for _ in range(800)]
        await asyncio.sleep(0)
        await recent._asked(redis.ping(), "write")
        written = virtual_time.now()
        await asyncio.gather(*lists)
        return written

    assert virtual_time.run(situation()) <= 0.1

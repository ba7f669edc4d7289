"""Ordinary customers, and somebody who has stolen some of their cards and tries them out.

Each of the thief's purchases is ordinary by itself: a tiny amount, at an hour and a place where many buy. Together they
are not: many within seconds, all from a place where none of these customers has ever been.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from generator.traffic import Transaction

DAY, HOUR = 86_400, 3_600
NOW = 1_609_718_400  # the simulated clock of a customer's first purchase: a Monday in 2021, UTC
CITY = (-23.55, -46.63)
LAIR = (16.0, -2.0)  # of the thief
TINY = (50, 400)  # cents
HABIT, TRIES = 6, 16  # purchases of a customer before the theft; of the thief with each card


@dataclass
class Customer:
    """Buys about twice a day in the afternoon, near home, at three merchants."""

    random: Random
    bought: int = 0

    def __post_init__(self) -> None:
        self.id = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        self.home = tuple(degrees + self.random.gauss(0, 0.1) for degrees in CITY)
        self.usual = self.random.lognormvariate(8.3, 0.4)  # cents, some 40.00

    def buys(self) -> Transaction:
        """The next ordinary purchase."""
        hour = self.random.gauss(18, 2)  # UTC: in the afternoon there
        merchant = f"{self.id}, merchant {self.bought % 3}"
        cents = int(self.usual * self.random.lognormvariate(0, 0.3))
        clock = NOW + self.bought * DAY // 2 + int(hour * HOUR)
        self.bought += 1
        return self._body(cents, merchant, clock, self.home, "an ordinary purchase")

    def robbed(self, attempt: int) -> Transaction:
        """One try of the thief, a second after the one before."""
        clock = NOW + self.bought * DAY // 2 + 20 * HOUR + attempt
        merchant = f"careless shop {self.random.randrange(1_000)}"
        return self._body(self.random.randint(*TINY), merchant, clock, LAIR, "a card tried out")

    def _body(
        self, cents: int, merchant: str, clock: int, place: tuple[float, ...], description: str
    ) -> Transaction:
        return {
            "value_in_cents": cents,
            "description": description,
            "customer_id": self.id,
            "merchant_id": str(uuid.uuid5(uuid.NAMESPACE_URL, merchant)),
            "transaction_timestamp": clock,
            "latitude": place[0] + self.random.gauss(0, 0.01),
            "longitude": place[1] + self.random.gauss(0, 0.01),
        }


def customers(count: int, seed: int | None = None) -> list[Customer]:
    """New ones."""
    random = Random(seed)
    return [Customer(random) for _ in range(count)]


def ordinary(some: list[Customer]) -> Iterator[Transaction]:
    """They take turns; each is replaced once it has its habits, so that nobody buys all the time."""
    while True:
        for place, customer in enumerate(some):
            yield customer.buys()
            if customer.bought >= HABIT:
                some[place] = Customer(customer.random)


def habits(some: list[Customer]) -> list[Transaction]:
    """What they buy before the theft, in turns."""
    return [customer.buys() for _ in range(HABIT) for customer in some]


def theft(some: list[Customer]) -> list[Transaction]:
    """What the thief tries with their cards, in turns."""
    return [customer.robbed(attempt) for attempt in range(TRIES) for customer in some]

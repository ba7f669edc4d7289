"""`--profile commerce`: customers with habits, and attackers among them (package commerce), as bodies of POSTs.

The simulated clock is in transaction_timestamp. The bff's is real, and the windows of a customer's history run on it:
so the number of customers follows from the rate and the length of a simulated day (docs/commerce.md).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from commerce.purchases import DAY, EPOCH, Purchases
from commerce.stream import days
from commerce.world import TRADES, World
from generator.traffic import Transaction

PURCHASES_A_DAY = 1.4  # of a customer, on average
CUSTOMERS = (100, 100_000)  # at least and at most: a world of so many takes 6 s to make, and 150 MB
MERCHANTS_PER_CUSTOMER = 0.3

log = logging.getLogger("generator")


class Purchase(Transaction):
    """The body of a POST, and what it does not say.

    `reported_after`: simulated seconds until it is reported as fraud; None for a genuine one.
    """

    reported_after: int | None = None


@dataclass(frozen=True)
class Scale:
    """How much of the world there is, and how fast its clock runs."""

    customers: int
    day: float  # real seconds that a simulated day takes

    @classmethod
    def of(cls, rate: float, day: float) -> Scale:
        """As many customers as buy `rate` times a second when their day takes `day` seconds, within CUSTOMERS."""
        least, most = CUSTOMERS
        customers = min(max(round(rate * day / PURCHASES_A_DAY), least), most)
        return cls(customers, customers * PURCHASES_A_DAY / rate)

    def real(self, simulated: float) -> float:
        """Real seconds of simulated ones."""
        return simulated * self.day / DAY


def purchases(scale: Scale, count: int | None = None, seed: int | None = None) -> Iterator[Purchase]:
    """The world's purchases from its first day on, the first `count` of them; for the same seed the same again."""
    seed = Random().getrandbits(32) if seed is None else seed
    log.info(
        "commerce: %d customers, a simulated day takes %.0f s, seed %d", scale.customers, scale.day, seed
    )
    world = World.made(seed, scale.customers, merchants=round(scale.customers * MERCHANTS_PER_CUSTOMER) + 30)
    return islice((one for today in days(world) for one in _bodies(world, today)), count)


def _bodies(world: World, today: Purchases) -> Iterator[Purchase]:
    customers, merchants, trades = world.customer_ids, world.merchant_ids, [*TRADES]
    columns = (
        today.customer, today.merchant, today.cents, today.second, today.latitude, today.longitude,
        today.fraud, today.known_at,
    )  # fmt: skip
    for customer, merchant, cents, second, latitude, longitude, fraud, known_at in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        body = Purchase(
            value_in_cents=cents,
            description=trades[world.trade[merchant]],
            customer_id=customers[customer],
            merchant_id=merchants[merchant],
            transaction_timestamp=EPOCH + second,
            latitude=round(latitude, 6),
            longitude=round(longitude, 6),
        )
        body.reported_after = known_at - second if fraud else None
        yield body

"""Attackers: each attack is a handful of purchases spread over minutes, days or weeks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from commerce.habits import amounts, purchases, utc
from commerce.purchases import (
    DAY,
    MERCHANT,
    SLOW,
    TAKEOVER,
    TESTING,
    TRAVEL,
    Floats,
    Ints,
    Purchases,
    together,
)
from commerce.world import CITIES, World

#: Attacks that begin a day, per 1,000 customers: together about 0.8 % of the purchases.
EACH_DAY = {TESTING: 0.29, TAKEOVER: 0.36, TRAVEL: 0.60, SLOW: 0.14}
COMPROMISED_EACH_DAY = 0.08  # merchants, per 1,000 customers
COMPROMISED_DAYS = (14, 29)
COMPROMISED_SHARE = 0.15  # of its purchases meanwhile
REPORTED_AFTER = (1, 7)  # days until a fraud is reported

Random = np.random.Generator


def card_testing(world: World, victim: int, day: int, random: Random) -> Purchases:
    """Many tiny amounts within minutes at careless merchants, then one or two large ones."""
    tiny, large = int(random.integers(4, 16)), int(random.integers(1, 3))
    cents = np.concatenate([random.integers(50, 400, tiny), _large(world, victim, large, 3, 12, random)])
    gaps = np.concatenate([random.integers(4, 90, tiny), random.integers(60, 2_400, large)])
    second = day * DAY + int(random.integers(0, DAY)) + np.cumsum(gaps)
    merchant = _of_attackers(world, tiny + large, random)
    place = _lair(world, victim, random) if random.random() < 0.5 else world.home[victim]
    return _stolen(world, victim, merchant, cents, second, place, TESTING, random)


def account_takeover(world: World, victim: int, day: int, random: Random) -> Purchases:
    """New place, new merchants, larger amounts, for some days."""
    count = int(random.integers(4, 15))
    lair = _lair(world, victim, random)
    days = day + np.sort(random.integers(0, int(random.integers(1, 5)), count))
    second = utc(days, random.uniform(6, 26, count) % 24, np.full(count, lair[1]))
    merchant = world.choose(random.integers(0, len(CITIES), count), random, online=0.5)
    place = np.where(world.online[merchant, None], lair, world.place[merchant])
    return _stolen(
        world, victim, merchant, _large(world, victim, count, 1, 6, random), second, place, TAKEOVER, random
    )


def impossible_travel(world: World, victim: int, day: int, random: Random) -> Purchases:
    """A copied card, once or twice, far away from where its holder buys on the same day."""
    count = int(random.integers(1, 4))
    city = _other_city(world, victim, random)
    second = utc(day, random.normal(world.peak[victim], 3, count), np.full(count, CITIES[city, 1]))
    merchant = world.choose(np.full(count, city), random, online=0)
    cents = amounts(world, np.full(count, victim), merchant, random)
    cents = (cents * random.uniform(1, 3, count)).astype(np.int64)
    return _stolen(world, victim, merchant, cents, second, world.place[merchant], TRAVEL, random)


def slow_fraud(world: World, victim: int, day: int, random: Random) -> Purchases:
    """One ordinary amount every day or two for weeks, at the victim's hours, as if from home: under every limit."""
    days = day + np.flatnonzero(random.random(int(random.integers(14, 29))) < 0.7)
    second = utc(
        days, random.normal(world.peak[victim], world.width[victim], len(days)), world.home[victim, 1:]
    )
    shops = _of_attackers(world, 2, random)
    merchant = shops[random.integers(0, 2, len(days))]
    return _stolen(
        world, victim, merchant, _large(world, victim, len(days), 0.5, 1.5, random), second,
        world.home[victim], SLOW, random,
    )  # fmt: skip


ATTACKS: dict[int, Callable[[World, int, int, Random], Purchases]] = {
    TESTING: card_testing,
    TAKEOVER: account_takeover,
    TRAVEL: impossible_travel,
    SLOW: slow_fraud,
}


class Attackers:
    """Begins attacks day by day and keeps what is still to come of them."""

    def __init__(
        self, world: World, kinds: tuple[int, ...] = (*ATTACKS, MERCHANT), strength: float = 1.0
    ) -> None:
        self._world, self._kinds, self._strength = world, kinds, strength
        self._coming: list[Purchases] = []
        self._compromised_until = np.zeros(len(world.trade), np.int64)

    def day(self, day: int, genuine: Purchases, random: Random) -> Purchases:
        """Return the day's purchases with the attackers' among them, in no order."""
        begun = [
            ATTACKS[kind](self._world, int(victim), day, random)
            for kind in self._kinds
            if kind in ATTACKS
            for victim in self._victims(EACH_DAY[kind], day, random)
        ]
        if MERCHANT in self._kinds:
            genuine = self._at_compromised_merchants(day, genuine, random)
        waiting = together([genuine, *self._coming, *begun])
        later = waiting.day > day
        self._coming = [waiting.rows(later)]
        return waiting.rows(~later)

    def _victims(self, rate: float, day: int, random: Random) -> Ints:
        customers = np.flatnonzero(self._world.first_day <= day)
        count = random.poisson(rate * len(customers) / 1_000 * self._strength)
        return customers[random.integers(0, len(customers), count)]

    def _at_compromised_merchants(self, day: int, genuine: Purchases, random: Random) -> Purchases:
        """Return the purchases, of which a share at compromised merchants has been tampered with."""
        count = random.poisson(COMPROMISED_EACH_DAY * len(self._world) / 1_000 * self._strength)
        # Nobody compromises a merchant without customers, and the largest are guarded.
        chance = np.sqrt(self._world.popularity)
        chance /= chance.sum()
        chosen = random.choice(len(chance), count, p=chance)
        self._compromised_until[chosen] = day + random.integers(*COMPROMISED_DAYS, count)
        hit = (self._compromised_until[genuine.merchant] > day) & (
            random.random(len(genuine)) < COMPROMISED_SHARE
        )
        raised = (genuine.cents * random.uniform(1, 2.2, len(genuine))).astype(np.int64)
        return replace(
            genuine,
            cents=np.where(hit, raised, genuine.cents),
            kind=np.where(hit, MERCHANT, genuine.kind),
            known_at=np.where(hit, genuine.second + _report(len(genuine), random), genuine.known_at),
        )


def _stolen(
    world: World,
    victim: int,
    merchant: Ints,
    cents: Ints,
    second: Ints,
    place: Floats,
    kind: int,
    random: Random,
) -> Purchases:
    count = len(merchant)
    spots = np.broadcast_to(place, (count, 2)) + random.normal(0, 0.02, (count, 2))
    bought = purchases(world, np.full(count, victim), merchant, cents, second, spots)
    return replace(bought, kind=np.full(count, kind), known_at=second + _report(count, random))


def _report(count: int, random: Random) -> Ints:
    seconds: Ints = (random.uniform(*REPORTED_AFTER, count) * DAY).astype(np.int64)
    return seconds


def _large(world: World, victim: int, count: int, low: float, high: float, random: Random) -> Ints:
    """Return amounts between these multiples of what the victim usually spends."""
    usual = 4_000 * world.income[victim] ** 0.7
    cents: Ints = (usual * random.uniform(low, high, count) * random.lognormal(0, 0.4, count)).astype(
        np.int64
    )
    return cents


def _of_attackers(world: World, count: int, random: Random) -> Ints:
    """Return merchants for stolen cards: mostly the known careless ones."""
    online = world.choose(np.zeros(count, np.int64), random, online=1)
    careless = random.random(count) < 0.6
    chosen: Ints = np.where(careless, world.mules[random.integers(0, len(world.mules), count)], online)
    return chosen


def _other_city(world: World, victim: int, random: Random) -> int:
    return int((world.city[victim] + random.integers(1, len(CITIES))) % len(CITIES))


def _lair(world: World, victim: int, random: Random) -> Floats:
    spot: Floats = CITIES[_other_city(world, victim, random), :2] + random.normal(0, 0.5, 2)
    return spot

"""Who lives in the world: customers with homes, incomes and habits; merchants with places and prices."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from commerce.purchases import EPOCH, Flags, Floats, Ints, Purchases

#: Latitude, longitude and share of the customers.
CITIES = np.array([
    (-23.55, -46.63, 0.20), (-22.91, -43.17, 0.12), (-8.05, -34.88, 0.08), (-30.03, -51.23, 0.06),
    (40.42, -3.70, 0.09), (41.39, 2.17, 0.06), (38.72, -9.14, 0.06), (52.52, 13.40, 0.08),
    (48.14, 11.58, 0.05), (6.52, 3.38, 0.06), (9.06, 7.49, 0.04), (19.08, 72.88, 0.06), (28.61, 77.21, 0.04),
])  # fmt: skip


class Trade(NamedTuple):
    """A kind of merchant."""

    price: float  # typical, cents
    spread: float  # of the amounts' logarithm
    merchants: float  # share of all
    purchases: float  # share of all
    online: bool


TRADES = {
    "café": Trade(450, 0.45, 0.14, 0.20, online=False),
    "groceries": Trade(4_200, 0.60, 0.18, 0.26, online=False),
    "restaurant": Trade(2_800, 0.50, 0.16, 0.13, online=False),
    "fuel": Trade(5_500, 0.30, 0.08, 0.07, online=False),
    "clothing": Trade(7_000, 0.65, 0.12, 0.07, online=False),
    "electronics": Trade(22_000, 0.85, 0.06, 0.03, online=False),
    "online shop": Trade(4_800, 0.80, 0.14, 0.15, online=True),
    "digital goods": Trade(1_200, 0.70, 0.07, 0.06, online=True),
    "travel": Trade(31_000, 0.70, 0.05, 0.03, online=True),
}
FAVOURITES = 12  # merchants a customer returns to


@dataclass(frozen=True)
class World:
    """Customers and merchants, one array per property; nothing here changes with time."""

    seed: int
    city: Ints  # of each customer: a row of CITIES
    home: Floats  # customers x (latitude, longitude)
    income: Floats  # as a factor on prices, median 1
    rate: Floats  # purchases a day
    peak: Floats  # the local hour at which the customer buys most
    width: Floats  # hours around it
    favourites: Ints  # customers x FAVOURITES
    first_day: Ints  # on which the customer comes
    trade: Ints  # of each merchant: an index of TRADES
    merchant_city: Ints
    place: Floats  # merchants x (latitude, longitude)
    price: Floats  # typical, cents
    online: Flags
    popularity: Floats  # share of its trade's purchases
    mules: Ints  # merchants that attackers of cards prefer: weak checks, or their own

    @classmethod
    def made(
        cls, seed: int, customers: int = 5_000, merchants: int = 1_500, newcomers: float = 0.15
    ) -> World:
        """Return a world; the same seed gives the same one. `newcomers` come in the first 120 days."""
        random = np.random.default_rng(seed)
        shares = CITIES[:, 2] / CITIES[:, 2].sum()
        city = random.choice(len(CITIES), customers, p=shares)
        price = np.array([trade.price for trade in TRADES.values()])
        of_merchants = np.array([trade.merchants for trade in TRADES.values()])
        online = np.array([trade.online for trade in TRADES.values()])
        trade = random.choice(len(TRADES), merchants, p=of_merchants / of_merchants.sum())
        merchant_city = random.choice(len(CITIES), merchants, p=shares)
        popularity = random.pareto(1.6, merchants) + 0.3
        first_day = np.where(random.random(customers) < newcomers, random.integers(0, 120, customers), 0)
        world = cls(
            seed=seed,
            city=city,
            home=CITIES[city, :2] + random.normal(0, 0.08, (customers, 2)),
            income=random.lognormal(0, 0.5, customers),
            rate=np.clip(random.gamma(1.6, 0.75, customers), 0.05, 8),
            peak=np.where(random.random(customers) < 0.05, 2.0, random.normal(15, 3, customers)),
            width=random.uniform(1.5, 4.5, customers),
            favourites=np.zeros((customers, FAVOURITES), np.int64),
            first_day=first_day.astype(np.int64),
            trade=trade,
            merchant_city=merchant_city,
            place=CITIES[merchant_city, :2] + random.normal(0, 0.1, (merchants, 2)),
            price=price[trade] * random.lognormal(0, 0.35, merchants),
            online=online[trade],
            popularity=popularity,
            mules=np.zeros(0, np.int64),
        )
        world.favourites[:] = world.choose(world.city.repeat(FAVOURITES), random).reshape(
            customers, FAVOURITES
        )
        weak = np.flatnonzero(world.online)
        mules = random.choice(weak, max(1, len(weak) // 12), replace=False)
        return replace(world, mules=mules)

    def __len__(self) -> int:
        return len(self.city)

    def choose(self, cities: Ints, random: np.random.Generator, online: float | None = None) -> Ints:
        """Return a merchant for each purchase in a city: local or online, by trade and popularity."""
        result = np.zeros(len(cities), np.int64)
        usually = sum(trade.purchases for trade in TRADES.values() if trade.online)
        remote = random.random(len(cities)) < (usually if online is None else online)
        for city in np.unique(cities):
            for asked, pool in ((~remote, self._pools[int(city)]), (remote, self._pools[-1])):
                rows = np.flatnonzero(asked & (cities == city))
                result[rows] = pool[0][np.searchsorted(pool[1], random.random(len(rows)))]
        return result

    def columns_of(self, bought: Purchases) -> tuple[list[str], list[str], Ints, Ints, Ints, Floats, Floats]:
        """Return purchases as the pipeline sees them: customer and merchant, cents, both clocks, the place."""
        customers, merchants, time = self.customer_ids, self.merchant_ids, EPOCH + bought.second
        return (
            [customers[row] for row in bought.customer.tolist()],
            [merchants[row] for row in bought.merchant.tolist()],
            bought.cents, time, time, bought.latitude, bought.longitude,
        )  # fmt: skip

    @cached_property
    def _pools(self) -> dict[int, tuple[Ints, Floats]]:
        """Merchants with their cumulative chance: by city those with a door, under -1 those online."""
        shares = np.array([trade.purchases for trade in TRADES.values()])
        weight = (
            self.popularity * shares[self.trade] / np.bincount(self.trade, minlength=len(TRADES))[self.trade]
        )
        pools = {}
        for city in range(-1, len(CITIES)):
            here = self.online if city < 0 else ~self.online & (self.merchant_city == city)
            found = np.flatnonzero(here if here.any() else ~self.online)
            chance = np.cumsum(weight[found])
            pools[city] = (found, chance / chance[-1])
        return pools

    @cached_property
    def customer_ids(self) -> list[str]:
        """The customers' ids, the same in every run with this seed."""
        return [str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.seed}-customer-{n}")) for n in range(len(self))]

    @cached_property
    def merchant_ids(self) -> list[str]:
        """The merchants' ids."""
        return [
            str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.seed}-merchant-{n}")) for n in range(len(self.trade))
        ]

    def spreads(self, merchant: Ints) -> Floats:
        """Return the spread of the logarithm of a merchant's amounts."""
        result: Floats = np.array([trade.spread for trade in TRADES.values()])[self.trade[merchant]]
        return result

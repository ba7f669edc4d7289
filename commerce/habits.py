"""What the customers buy on a day when nobody attacks: habits, trips, sprees, large purchases, seasons."""

from __future__ import annotations

import numpy as np

from commerce.purchases import DAY, Flags, Floats, Ints, Purchases, together
from commerce.world import CITIES, FAVOURITES, World

LOYALTY = 0.75  # of purchases at home, at a favourite
TRIPS, TRIP_DAYS = 1 / 90, (2, 9)  # chance of one to begin on a day; how long
LARGE = 0.012  # of purchases: furniture, a flight, a wedding
SPREES = 0.04  # of purchases with some more within minutes
PLAYERS, PLAYED = (
    0.06,
    1 / 4,
)  # share of customers who pay for games in tiny amounts; chance of a session a day
ROAMERS = 0.06  # share of customers whose network makes them appear in another city when they buy online
WEEKDAYS = (1.0, 0.92, 0.92, 0.96, 1.02, 1.18, 1.12)  # how much is bought, from Monday, the world's first day
REPORTED = 7 * DAY  # seconds after which an unreported purchase counts as genuine


class Habits:
    """The customers' own purchases, day by day; remembers who is on a trip."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._where, self._back = world.city.copy(), np.zeros(len(world), np.int64)
        random = np.random.default_rng((world.seed, 2))
        self._players = np.flatnonzero(random.random(len(world)) < PLAYERS)
        self._game = world.choose(world.city, random, online=1)
        roams = random.random(len(world)) < ROAMERS
        elsewhere = CITIES[random.integers(0, len(CITIES), len(world)), :2]
        self._seat = np.where(roams[:, None], elsewhere, world.home)  # where online purchases come from

    def day(self, day: int, random: np.random.Generator) -> Purchases:
        """Return the day's purchases, in no order."""
        self._travel(day, random)
        world = self._world
        rate = world.rate * season(day) * np.where(self._away, 1.4, 1.0) * (world.first_day <= day)
        customer = np.repeat(np.arange(len(world)), random.poisson(rate))
        merchant, second = self._merchants(customer, random), self._seconds(customer, day, random)
        cents = amounts(world, customer, merchant, random)
        large = random.random(len(customer)) < LARGE
        cents = np.where(large, (cents * random.uniform(4, 14, len(cents))).astype(np.int64), cents)
        bought = purchases(world, customer, merchant, cents, second, self._places(customer, merchant, random))
        return together([bought, self._sprees(bought, random), self._games(day, random)])

    @property
    def _away(self) -> Flags:
        away: Flags = self._where != self._world.city
        return away

    def _travel(self, day: int, random: np.random.Generator) -> None:
        home = self._back <= day
        self._where = np.where(home, self._world.city, self._where)
        leave = np.flatnonzero(home & (random.random(len(self._world)) < TRIPS))
        self._where[leave] = random.integers(0, len(CITIES), len(leave))
        self._back[leave] = day + random.integers(*TRIP_DAYS, len(leave))

    def _merchants(self, customer: Ints, random: np.random.Generator) -> Ints:
        world, count = self._world, len(customer)
        weights = np.cumsum(1 / np.arange(1, FAVOURITES + 1))
        place = np.searchsorted(weights / weights[-1], random.random(count))
        usual = world.favourites[customer, place]
        # A favourite with a door is of no use far away.
        loyal = (random.random(count) < LOYALTY) & (~self._away[customer] | world.online[usual])
        return np.where(loyal, usual, world.choose(self._where[customer], random))

    def _seconds(self, customer: Ints, day: int, random: np.random.Generator) -> Ints:
        world = self._world
        odd = random.random(len(customer)) < 0.08
        usual = random.normal(world.peak[customer], world.width[customer])
        hour = np.where(odd, random.uniform(7, 24, len(customer)), usual)
        return utc(day, hour, CITIES[self._where[customer], 1])

    def _places(self, customer: Ints, merchant: Ints, random: np.random.Generator) -> Floats:
        """Return where the card or its holder is: at the merchant's door, or at home, or in a hotel."""
        world = self._world
        bed = np.where(self._away[customer, None], CITIES[self._where[customer], :2], self._seat[customer])
        place = np.where(world.online[merchant, None], bed, world.place[merchant])
        result: Floats = place + random.normal(0, 0.01, place.shape)
        return result

    def _sprees(self, bought: Purchases, random: np.random.Generator) -> Purchases:
        """Return more purchases within minutes of some, of the same customer near by."""
        begun = np.repeat(np.flatnonzero(random.random(len(bought)) < SPREES), 2)
        first = bought.rows(begun[random.random(len(begun)) < 0.8])
        merchant = self._merchants(first.customer, random)
        second = first.second + random.integers(40, 1_500, len(first))
        place = np.column_stack([first.latitude, first.longitude])
        cents = amounts(self._world, first.customer, merchant, random)
        return purchases(self._world, first.customer, merchant, cents, second, place)

    def _games(self, day: int, random: np.random.Generator) -> Purchases:
        """Return sessions of players: many tiny amounts within minutes, at a game they know. No attack."""
        world = self._world
        here = self._players[world.first_day[self._players] <= day]
        plays = here[random.random(len(here)) < PLAYED]
        count = random.integers(3, 11, len(plays))
        customer = np.repeat(plays, count)
        begin = utc(day, random.normal(world.peak[plays] + 3, 2.5), world.home[plays, 1])
        second = np.repeat(begin, count) + random.integers(0, 900, len(customer))
        cents = random.choice(np.array([99, 149, 199, 299, 499]), len(customer))
        return purchases(world, customer, self._game[customer], cents, second, self._seat[customer])


def season(day: int) -> float:
    """Return how much is bought on a day: more at the weekend, on pay day, before the year's end."""
    weekday = WEEKDAYS[day % 7]
    pay_day = 1.15 if day % 30 < 4 else 0.98
    return float(weekday * pay_day * (1 + 0.12 * np.cos(2 * np.pi * (day - 350) / 365)))


def utc(day: int | Ints, local_hour: Floats, longitude: Floats) -> Ints:
    """Return seconds on the UTC day at the local solar hour."""
    local = (local_hour * 3_600 - longitude * 240) % DAY
    result: Ints = day * DAY + local.astype(np.int64)
    return result


def amounts(world: World, customer: Ints, merchant: Ints, random: np.random.Generator) -> Ints:
    """Return cents by the merchant's prices and the customer's income."""
    spread = random.normal(0, 1, len(merchant)) * world.spreads(merchant)
    cents = world.price[merchant] * world.income[customer] ** 0.7 * np.exp(spread)
    return np.maximum(cents, 50).astype(np.int64)


def purchases(
    world: World, customer: Ints, merchant: Ints, cents: Ints, second: Ints, place: Floats
) -> Purchases:
    """Return genuine purchases."""
    latitude, longitude = np.clip(place[:, 0], -90, 90), np.clip(place[:, 1], -180, 180)
    none = np.zeros(len(customer), np.int64)
    return Purchases(customer, merchant, cents, second, latitude, longitude, none, second + REPORTED)

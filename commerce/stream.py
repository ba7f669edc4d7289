"""A world's days, one after the other, as long as one likes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from commerce.attacks import Attackers
from commerce.habits import Habits
from commerce.purchases import Purchases, together
from commerce.world import World


def days(world: World, attackers: Attackers | None = None) -> Iterator[Purchases]:
    """Yield each day's purchases in order of time, without end; the same world gives the same days."""
    random = np.random.default_rng((world.seed, 1))
    habits, attackers = Habits(world), attackers or Attackers(world)
    day, late = 0, None
    while True:
        today = attackers.day(day, habits.day(day, random), random)
        if late is not None:
            today = together([late, today])  # sprees and attacks run on past midnight
        past = today.day > day
        late = today.rows(past)
        yield today.rows(~past).in_order()
        day += 1


def first_days(world: World, count: int) -> Purchases:
    """Return the first days together."""
    return together([today for today, _ in zip(days(world), range(count), strict=False)])

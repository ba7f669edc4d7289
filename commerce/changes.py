"""The world changes: what is bought from a day on is not what it was. For whoever wants to see that it is noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from commerce.purchases import DAY, Purchases, together

Change = Callable[[Purchases], Purchases]


def dearer(bought: Purchases) -> Purchases:
    """Return the purchases at twice the price."""
    return replace(bought, cents=bought.cents * 2)


def by_night(bought: Purchases) -> Purchases:
    """Return the purchases half a day later."""
    return replace(bought, second=bought.second + DAY // 2)


def far_away(bought: Purchases) -> Purchases:
    """Return the purchases as if on holiday, a quarter of the globe to the east."""
    return replace(bought, longitude=(bought.longitude + 90 + 180) % 360 - 180)


def changed(bought: Purchases, change: Change, day: int) -> Purchases:
    """Return purchases in order, of which those of this day and later ones are changed."""
    later = bought.day >= day
    return together([bought.rows(~later), change(bought.rows(later))]).in_order()


CHANGES: dict[str, Change] = {
    "prices have doubled": dearer,
    "people buy by night": by_night,
    "everybody is far away": far_away,
}

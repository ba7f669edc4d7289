"""How good decisions were, by the labels that have arrived. No I/O.

Fraud is what is looked for: a rejection is an alarm, and of two scores (the probability that a transaction is good) the
lower one is the more suspicious. What nobody has labelled is neither fraud nor genuine: it is counted, and left out of
every share.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from app.models.label import Label

#: Cards that people can look into in a day.
CARDS_A_DAY = 100
DAY = 24 * 3600


class Decided(NamedTuple):
    """What counts of a decided transaction; `day` since 1970 (UTC) of its event, `label` None: nobody has said."""

    customer_id: str
    day: int
    is_rejected: bool
    score: float | None
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """Transactions with this status, by what is known of them."""

    fraud: int
    genuine: int
    not_labelled: int

    @property
    def labelled(self) -> int:
        """Of how many somebody has said anything."""
        return self.fraud + self.genuine


@dataclass(frozen=True, slots=True)
class Cards:
    """The most suspicious customers of each day. `precision`: the mean over `days`, those with a card that is known."""

    precision: float | None
    days: int
    compromised: int
    genuine: int
    not_known: int


@dataclass(frozen=True, slots=True)
class Measures:
    """Each share is None where nothing is known that it would be a share of."""

    rejected: Known
    accepted: Known
    precision: float | None
    recall: float | None
    average_precision: float | None
    scored: Known  # what average precision is of: those that an antifraud replica has given a score
    cards: Cards


def measures(decided: Sequence[Decided]) -> Measures:
    """All of them, of these transactions."""
    rejected = known(one for one in decided if one.is_rejected)
    accepted = known(one for one in decided if not one.is_rejected)
    scored = [one for one in decided if one.score is not None and math.isfinite(one.score)]
    return Measures(
        rejected,
        accepted,
        precision=_share(rejected.fraud, rejected.labelled),
        recall=_share(rejected.fraud, rejected.fraud + accepted.fraud),
        average_precision=average_precision(scored),
        scored=known(scored),
        cards=card_precision(scored),
    )


def known(decided: Iterable[Decided]) -> Known:
    """How many of these are fraud, genuine, and neither."""
    labels = [one.label for one in decided]
    return Known(labels.count("fraud"), labels.count("genuine"), labels.count(None))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def average_precision(scored: Iterable[Decided]) -> float | None:
    """The mean of the precision at each threshold, weighted by the recall gained there (as scikit-learn's).

    Of those with a label; equal scores are one threshold. None without a fraud.
    """
    ranked = sorted((one.score, one.label == "fraud") for one in scored if one.label is not None)
    frauds = sum(is_fraud for _, is_fraud in ranked)
    if not frauds:
        return None
    total, caught, alarms = 0.0, 0, 0
    for _, group in groupby(ranked, key=itemgetter(0)):
        alike = [is_fraud for _, is_fraud in group]
        caught += sum(alike)
        alarms += len(alike)
        total += sum(alike) / frauds * caught / alarms
    return total


def card_precision(scored: Iterable[Decided], most: int = CARDS_A_DAY) -> Cards:
    """Of the `most` customers with the lowest score of a day, the share that had a fraud on it; the mean of the days.

    As in the Fraud Detection Handbook, a card found compromised is not looked into again on later days. Of the cards
    on a day's list those count that are known: compromised with one fraud, genuine when all of the day's transactions
    are labelled genuine. Where all are known and a day has `most` cards, it is the book's figure.
    """
    by_day: dict[int, dict[str, list[Decided]]] = defaultdict(lambda: defaultdict(list))
    for one in scored:
        by_day[one.day][one.customer_id].append(one)
    found: set[str] = set()
    counts: Counter[Label | None] = Counter()
    shares: list[float] = []
    for _, cards in sorted(by_day.items()):
        listed = {card: _word(cards[card]) for card in _most_suspicious(cards, found, most)}
        of_day = Counter(listed.values())
        counts += of_day
        if are_known := of_day["fraud"] + of_day["genuine"]:
            shares.append(of_day["fraud"] / are_known)
        found |= {card for card, word in listed.items() if word == "fraud"}
    mean = sum(shares) / len(shares) if shares else None
    return Cards(mean, len(shares), counts["fraud"], counts["genuine"], counts[None])


def _most_suspicious(cards: dict[str, list[Decided]], but: set[str], most: int) -> list[str]:
    lowest = {card: min(one.score or 0.0 for one in ones) for card, ones in cards.items() if card not in but}
    return sorted(lowest, key=lambda card: (lowest[card], card))[:most]


def _word(ones: Sequence[Decided]) -> Label | None:
    labels = {one.label for one in ones}
    if "fraud" in labels:
        return "fraud"
    return "genuine" if labels == {"genuine"} else None

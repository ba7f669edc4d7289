"""A model of one machine that runs the whole stack: from the rate of POSTs to what it decides, uses and has behind.

Each process costs so much by the second when nothing happens, so much for each POST, for each decision, and for what
several of them share: a micro-batch of the worker, and a turn of the bff, in which all that has just arrived goes to
Kafka and Redis together. The more arrives, the more share: so few transactions are dear, and many are cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf

import numpy as np

from benchmarks.loads import Observed

BATCH = 2000  # transactions in a micro-batch at most (app/settings.py)
ENOUGH = 0.9  # of what was offered is decided by a stack that keeps up
TURNS = (2.0, 5.0, 10.0, 20.0, 50.0)  # milliseconds of a turn that are tried


@dataclass(frozen=True)
class Costs:
    """Of a process: cores, always; CPU seconds for each POST, decision, micro-batch and turn. Bytes likewise."""

    idle: float
    post: float
    decision: float
    batch: float
    turn: float

    def at(self, accepted: float, decided: float, batches: float, turns: float) -> float:
        """By the second."""
        return (
            self.idle
            + self.post * accepted
            + self.decision * decided
            + self.batch * batches
            + self.turn * turns
        )


@dataclass(frozen=True)
class Prediction:
    """What a rate leads to: decided a second, cores, and the mean number behind."""

    rate: float
    cores: float
    behind: float


@dataclass(frozen=True)
class Model:
    """Fitted. Seconds; `cores`: what the machine gives when it is full."""

    cpu: Mapping[str, Costs]
    each: Mapping[str, float]  # CPU seconds of one transaction among very many, by process
    wire: Mapping[str, float]  # bytes of one, by server
    cores: float
    turn: float
    batch_alone: float  # a micro-batch takes so long when little arrives,
    batch_busier: float  # and so much longer for each POST a second
    capacity: float  # decided a second when a little more than that arrives: seen, not computed
    too_much: float  # POSTs a second, when that was seen;
    less: float  # of what arrives beyond, each takes so much away from what is decided
    late_alone: float  # each is behind for so long when little arrives,
    late_busier: float  # and so much longer for each POST a second

    def total(self, accepted: float, decided: float, batches: float) -> float:
        """Cores that this would take; more than there are if it is not possible."""
        turns = shared(accepted, self.turn)
        return sum(costs.at(accepted, decided, batches, turns) for costs in self.cpu.values())

    def batches(self, rate: float) -> float:
        """Micro-batches a second, at a rate that the stack keeps up with; no more than there are cores for."""
        each = sum(costs.batch for costs in self.cpu.values())
        room = (self.cores - self.total(rate, rate, 0.0)) / each if each else inf
        return max(min(shared(rate, self.batch_alone + self.batch_busier * rate), room), rate / BATCH)

    def predicted(self, offered: float, seconds: float) -> Prediction:
        """At `offered` POSTs a second; `behind` is the mean from nothing at first until so many seconds later."""
        decided = min(offered, max(0.0, self.capacity - self.less * max(0.0, offered - self.too_much)))
        late = self.late_alone + self.late_busier * decided
        behind = decided * late + (offered - decided) * seconds / 2
        cores = self.total(offered, offered, self.batches(offered)) if offered < self.capacity else inf
        return Prediction(decided, min(cores, self.cores), behind)


def shared(rate: float, seconds: float) -> float:
    """Times a second that something is done which takes so long, and takes all that has come meanwhile with it."""
    return rate / (1 + rate * seconds)


def fitted(observed: Sequence[Observed]) -> Model:
    """The model of what was observed: idle, POSTs alone, a backlog alone, some loads, and one that is too much."""
    turn = min((1e-3 * ms for ms in TURNS), key=lambda turn: _misfit(observed, turn))
    kept_up = [one for one in observed if one.offered >= 1 and one.decided >= ENOUGH * one.offered]
    if not kept_up:
        raise SystemExit("the stack kept up with none of the loads: the machine is too busy to be measured")
    full, beyond = sorted((one for one in observed if one.rounds), key=lambda one: one.offered)[-2:]
    idle = min(observed, key=lambda one: one.accepted + one.decided)
    if full.decided >= ENOUGH * full.offered:
        raise SystemExit(
            "the stack kept up with every load but the last: what is too much for it was not seen"
        )
    took = [1 / one.rounds - 1 / one.decided for one in kept_up]
    late = _relative([[1.0, one.offered] for one in kept_up], [one.behind / one.offered for one in kept_up])
    batch = _relative([[1.0, one.offered] for one in kept_up], took)
    return Model(
        _costs(observed, turn, [one.cores for one in observed]),
        _cpu_of_one(observed, idle),
        {name: total / full.decided for name, total in full.wire.items()},
        full.busy,
        turn,
        batch[0],
        batch[1],
        full.decided,
        full.offered,
        max(0.0, (full.decided - beyond.decided) / (beyond.offered - full.offered)),
        late[0],
        late[1],
    )


def _cpu_of_one(observed: Sequence[Observed], idle: Observed) -> dict[str, float]:
    """CPU seconds of one among very many, without a fit: a POST of the most alone, and a decision of the backlog."""
    posted = max((one for one in observed if not one.rounds), key=lambda one: one.accepted)
    worked_off = max((one for one in observed if one.accepted < 1), key=lambda one: one.decided)
    return {
        name: _more(posted.cores, idle.cores, name) / posted.accepted
        + _more(worked_off.cores, idle.cores, name) / worked_off.decided
        for name in _names([one.cores for one in observed])
    }


def _more(found: Mapping[str, float], idle: Mapping[str, float], name: str) -> float:
    return max(0.0, found.get(name, 0.0) - idle.get(name, 0.0))


def _relative(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """The terms whose errors are smallest as shares of the values, so that large ones do not count for more."""
    table = [[term / value for term in row] for row, value in zip(rows, values, strict=True) if value > 0]
    return non_negative(table, [1.0] * len(table)) if table else [0.0] * len(rows[0])


def _costs(
    observed: Sequence[Observed], turn: float, values: Sequence[Mapping[str, float]]
) -> dict[str, Costs]:
    """By what the values are of."""
    rows = [_row(one, turn) for one in observed]
    return {
        name: Costs(*non_negative(rows, [found.get(name, 0.0) for found in values]))
        for name in _names(values)
    }


def _names(values: Sequence[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for found in values for name in found if not name.startswith(STRANGERS)))


STRANGERS = "(everything else"  # as benchmarks.cpu.OTHERS begins


def _row(one: Observed, turn: float) -> list[float]:
    return [1.0, one.accepted, one.decided, one.rounds, shared(one.accepted, turn)]


def _misfit(observed: Sequence[Observed], turn: float) -> float:
    costs = _costs(observed, turn, [one.cores for one in observed])
    totals = [sum(cost.at(*_row(one, turn)[1:]) for cost in costs.values()) for one in observed]
    return sum((total - one.busy) ** 2 for total, one in zip(totals, observed, strict=True))


def non_negative(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Least squares without a negative term, as nothing costs less than nothing: of all choices of terms the best."""
    table, wanted = np.array(rows), np.array(values)
    best, least = np.zeros(table.shape[1]), float(wanted @ wanted)
    for count in range(1, table.shape[1] + 1):
        for chosen in map(list, combinations(range(table.shape[1]), count)):
            found = np.linalg.lstsq(table[:, chosen], wanted, rcond=None)[0]
            misfit = float(((table[:, chosen] @ found - wanted) ** 2).sum())
            if found.min() >= 0 and misfit < least:
                best, least = np.zeros(table.shape[1]), misfit
                best[chosen] = found
    return [float(value) for value in best]

"""A backlog after an outage: how long it takes to drain, by a formula and by a simulation of the autoscaler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from exercises.autoscaler import Autoscaler, Rules

STEP = 0.5  # seconds of a simulated moment


@dataclass(frozen=True)
class World:
    """What the autoscaler has to do with: transactions a second, and seconds.

    `rate`: what one worker decides. `start`: from the decision until a new worker works, in which the others go on.
    """

    load: float
    rate: float
    start: float


@dataclass(frozen=True)
class Drain:
    """What became of a backlog; seconds from the end of the outage. `back`: as few workers as before."""

    backlog: float
    drained: float
    events_until_drained: int
    events: Sequence[tuple[float, int]]
    lags: Sequence[tuple[float, float]]

    @property
    def most(self) -> int:
        """Workers at the peak."""
        return max((workers for _, workers in self.events), default=0)


def formula(backlog: float, world: World, steps: Sequence[tuple[float, int]]) -> float:
    """Seconds until nothing is behind: each piece drains at workers x rate - load. `steps`: who works from when."""
    left = backlog
    for (at, workers), until in zip(steps, [*(at for at, _ in steps[1:]), inf], strict=True):
        net = workers * world.rate - world.load
        if net > 0 and left <= net * (until - at):
            return at + left / net
        left -= net * (until - at)
    return inf


def expected_steps(rules: Rules, world: World, backlog: float) -> list[tuple[float, int]]:
    """When more workers work, if the lag stays large: a window and a poll late, then a policy's step each period."""
    steps, at, workers = [(0.0, rules.least)], rules.up_window + rules.poll, rules.least
    left = backlog
    while workers < rules.most:
        left -= (workers * world.rate - world.load) * (at - steps[-1][0])
        more = min(rules.asked(max(left, 0)), int(-(-workers * (100 + rules.up_percent) // 100)))
        if more <= workers:
            break
        workers = more
        steps.append((at + world.start, workers))
        at += rules.up_period
    return steps


def simulate(rules: Rules, world: World, outage: float, until: float = 3600.0) -> Drain:
    """An outage in which nothing is decided, then what the autoscaler makes of the lag, poll by poll."""
    scaler = Autoscaler(rules, rules.least)
    lag, working, coming = 0.0, rules.least, list[tuple[float, int]]()
    now, next_poll, drained = -outage, -outage, inf
    lags = list[tuple[float, float]]()
    while now < until:
        if now >= next_poll:
            # During the outage no partition moves, and such a lag counts as none (excludePersistentLag).
            if (workers := scaler.decide(now, lag if now > 0 else 0.0)) != (
                coming[-1][1] if coming else working
            ):
                coming.append((now + (world.start if workers > working else 0.0), workers))
            next_poll += rules.poll
            lags.append((now, lag))
        while coming and coming[0][0] <= now:
            working = coming.pop(0)[1]
        lag = max(0.0, lag + STEP * (world.load - (working * world.rate if now >= 0 else 0.0)))
        now += STEP
        if drained == inf and now > 0 and lag <= world.load * STEP:
            drained = now
    before = [event for event in scaler.events if event[0] <= drained]
    return Drain(world.load * outage, drained, len(before), scaler.events, lags)

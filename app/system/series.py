"""The last fifteen minutes, a point a look: bounded, whatever happens. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any

from app.system import rates, samples
from app.system.parts import Mark
from app.system.samples import END_TO_END, POSTS, Counts

KEPT = 15 * 60.0
POINTS_MOST = 1000


@dataclass(frozen=True, slots=True)
class Point:
    """`at` in seconds since 1970; rates a second, latencies in seconds, `lag` in records; None: not known."""

    at: float
    posts: float | None
    verdicts: float | None
    post_p50: float | None
    post_p99: float | None
    end_to_end_p50: float | None
    end_to_end_p99: float | None
    lag: int | None
    retries: float | None


NAMES = [field.name for field in fields(Point)]


def point(at: float, seconds: float, risen: Counts, lag: int | None) -> Point:
    """What was counted in the `seconds` before `at`; the lag at that time."""
    posts = {"method": "POST", "path": rates.TRANSACTIONS}
    latencies = samples.quantiles(risen, POSTS, (0.5, 0.99), **posts)
    latencies += samples.quantiles(risen, END_TO_END, (0.5, 0.99))
    counted = (
        samples.total(risen, f"{POSTS}_count", **posts, status="201"),
        samples.total(risen, "payments_verdicts_total"),
        samples.total(risen, "payments_step_retries_total"),
    )
    created, decided, retried = (round(one / seconds, 2) for one in counted)
    quick, slow, soon, late = map(_rounded, latencies)
    return Point(at, created, decided, quick, slow, soon, late, lag, retried)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 5)


class Series:
    """The points."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque(maxlen=POINTS_MOST)

    def add(self, one: Point) -> None:
        """One more; what is older than the series goes."""
        self._points.append(one)
        while one.at - self._points[0].at > KEPT:
            self._points.popleft()

    def document(self, every: float, marks: Iterable[Mark]) -> dict[str, Any]:
        """As GET /api/v1/system/series has it; `every`: seconds from one point to the next, from now on."""
        columns = zip(*map(astuple, self._points), strict=True) if self._points else ([] for _ in NAMES)
        since = self._points[0].at if self._points else 0.0
        return {
            "every": every,
            **{name: list(column) for name, column in zip(NAMES, columns, strict=True)},
            "marks": [{"at": m.at, "part": m.part, "state": m.state} for m in marks if m.at >= since],
        }

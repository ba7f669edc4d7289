"""How many requests a second each token may make: the generic cell rate algorithm, one number for each token."""

from __future__ import annotations

from collections.abc import Collection

#: Seconds: sums of fractions are not exact, and nobody is refused for the last digit.
EXACT = 1e-6


class RateLimit:
    """`rate` requests a second, and `burst` at once after a pause."""

    def __init__(self, rate: float, burst: int):
        self._interval = 1 / rate
        self._tolerance = (burst - 1) / rate
        #: When the next one would be due if all came evenly; only tokens that there are have one.
        self._due: dict[bytes, float] = {}

    def wait(self, key: bytes, now: float) -> float:
        """0 when this request may be made, and is counted; else the seconds until one may."""
        due = max(now, self._due.get(key, now))
        early = due - self._tolerance - now
        if early > EXACT:
            return early
        self._due[key] = due + self._interval
        return 0.0

    def keep(self, keys: Collection[bytes]) -> None:
        """Forget all others; also from another thread than `wait`."""
        for key in list(self._due):
            if key not in keys:
                self._due.pop(key, None)

"""How long to wait between two tries: one rule for every retry."""

from __future__ import annotations

import random
from collections.abc import Iterator


def pauses(first: float, most: float) -> Iterator[float]:
    """Seconds, without end: doubled up to `most`, each shortened at random by up to a half.

    So that many clients of a part that comes back do not march in step.
    """
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(2 * pause, most)

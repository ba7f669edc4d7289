"""Watches for drift beside the verdicts: counts what is asked of the served model, shows how far it is from training.

No verdict depends on it: whatever fails here is in the log, once, and the replica goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from antifraud import metrics
from antifraud.columns import Arrays
from antifraud.distribution import load
from antifraud.drift import Window

BETWEEN_LOOKS = 2.0  # seconds

log = logging.getLogger("antifraud")


class Watch:
    """What the served model was asked lately; without a distribution beside the model it does nothing."""

    def __init__(self, model_version: str, window: Window | None) -> None:
        self._version, self._window = model_version, window

    @property
    def is_on(self) -> bool:
        """Whether there is something to compare with."""
        return self._window is not None

    def count(self, rows: Arrays, scores: NDArray[np.float64], inputs: NDArray[np.float64]) -> None:
        """Count a call: what it asked, and what the model made of it."""
        with self._harmless() as window:
            if window:
                window.count(inputs, scores, rows["transaction_timestamp"])

    def show(self) -> None:
        """Set the metrics."""
        with self._harmless() as window:
            if window:
                metrics.drifted(self._version, window.rows, window.psi())

    @contextmanager
    def _harmless(self) -> Iterator[Window | None]:
        try:
            yield self._window
        except Exception:
            self._window = None
            metrics.drifted(self._version, 0, {})
            log.exception("drift is not watched any more; verdicts are not touched")

    async def go_on(self) -> None:
        """Set them again and again."""
        while True:
            self.show()
            await asyncio.sleep(BETWEEN_LOOKS)


NOT_WATCHED = Watch("", None)


def watch(model_version: str, folder: Path, inputs: tuple[str, ...]) -> Watch:
    """Return the watch of the model in that folder; why there is nothing to watch by is in the log."""
    try:
        then = load(folder, model_version)
        window = Window(then, inputs) if then else None
    except ValueError as error:
        log.error("drift is not watched: %s", error)
        return Watch(model_version, None)
    if window is None:
        log.info("drift is not watched: %s has no distribution of its training", model_version)
    return Watch(model_version, window)

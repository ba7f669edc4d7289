"""By what a status is decided anew: by the score on record, by the second model's, or by a replica that is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from app.assessment.client import Antifraud
from app.commands.backtest.decisions import ACCEPTED, NO_SCORE, REJECTED
from app.commands.shared.console import with_retries
from app.models.assessment import Verdict
from app.models.status import TransactionStatus, features_of, shadow_verdict
from history.features import FEATURES, UNKNOWN

_KNOWN = FEATURES.index("known")
_CODES: dict[Verdict | None, int] = {"accepted": ACCEPTED, "rejected": REJECTED, None: NO_SCORE}


class Judged(NamedTuple):
    """For each status the code of its other verdict, whose that is, and whether there were features to decide by."""

    after: Sequence[int]
    models: Sequence[str]
    has_features: Sequence[bool]


Judge = Callable[[Sequence[TransactionStatus]], Awaitable[Judged]]


def by_recorded_scores(threshold: float) -> Judge:
    """Another threshold: what nobody has scored has no other verdict."""

    async def judge(statuses: Sequence[TransactionStatus]) -> Judged:
        after = [
            NO_SCORE if one["score"] is None else REJECTED if one["score"] < threshold else ACCEPTED
            for one in statuses
        ]
        return Judged(after, [one["model_version"] or "none" for one in statuses], [True] * len(statuses))

    return judge


def by_the_shadow(version: str | None) -> Judge:
    """What a second model has said beside the verdict; this one, or whichever it was."""

    async def judge(statuses: Sequence[TransactionStatus]) -> Judged:
        models = [one.get("shadow_version") or "none" for one in statuses]
        after = [
            _CODES[shadow_verdict(one)] if version in (None, model) else NO_SCORE
            for one, model in zip(statuses, models, strict=True)
        ]
        return Judged(after, models, [True] * len(statuses))

    return judge


class ByAskingReplicas:
    """Another model, by the features on record; UnknownModel, AntifraudUnavailable, WrongAnswer.

    `threshold` None: the replica's; `thresholds` are those by which anything was decided.
    """

    def __init__(self, antifraud: Antifraud, model: str, threshold: float | None):
        self._antifraud, self._model, self._threshold = antifraud, model, threshold
        self.thresholds: set[float] = set()

    async def __call__(self, statuses: Sequence[TransactionStatus]) -> Judged:
        """One call."""
        features = np.array([features_of(one) for one in statuses], np.int64)
        found = await with_retries(partial(self._antifraud.scores, statuses, features, self._model))
        threshold = found.threshold if self._threshold is None else self._threshold
        self.thresholds.add(threshold)
        after = [REJECTED if score < threshold else ACCEPTED for score in found.scores]
        return Judged(after, [self._model] * len(statuses), (features[:, _KNOWN] != UNKNOWN).tolist())

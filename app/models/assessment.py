"""What antifraud said of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["accepted", "rejected"]

#: The reason on record when nobody could assess a transaction (setting ANTIFRAUD_UNAVAILABLE_POLICY=reject).
ANTIFRAUD_UNAVAILABLE = "antifraud_unavailable"


@dataclass(frozen=True, slots=True)
class Assessment:
    """Verdict and score (probability that it is good, 0..1) of one transaction, and who decided it.

    `shadow_…`: what a second model says of it, which decides nothing; without a score it has said nothing of use.
    """

    verdict: Verdict
    score: float | None
    threshold: float | None = None
    model_version: str | None = None
    replica: str | None = None
    reason: str | None = None
    reasons: str | None = None  # see app.models.reasons
    shadow_score: float | None = None
    shadow_version: str | None = None
    batch_size: int | None = None  # how many were assessed in the same call


def unassessed(count: int) -> Sequence[Assessment]:
    """The assessments of `count` transactions that no antifraud replica could be asked about."""
    return [Assessment("rejected", None, reason=ANTIFRAUD_UNAVAILABLE)] * count

"""From a request to the model's four columns; a field that the model cannot judge is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from history.features import FEATURES, VERSION
from schemas.proto import antifraud_pb2 as pb

MOST_ROWS = 5_000  # per batch; bounds a call's memory and how long it keeps others waiting (60 ms)

Arrays = dict[str, NDArray[Any]]
FIELDS: dict[str, type[np.generic]] = {
    "value_in_cents": np.int64,
    "transaction_timestamp": np.int64,
    "latitude": np.float64,
    "longitude": np.float64,
}


class WrongFieldError(ValueError):
    """A request that cannot be judged; the text starts with the field's name."""


def of_one(request: pb.AntifraudAssesmentRequest) -> Arrays:
    """Return one transaction as columns of one row."""
    return _checked({name: np.array([getattr(request, name)], kind) for name, kind in FIELDS.items()})


def of_batch(request: pb.AntifraudAssesmentBatchRequest) -> Arrays:
    """Return the batch's columns."""
    rows = len(request.value_in_cents)
    if not 1 <= rows <= MOST_ROWS:
        raise WrongFieldError(f"value_in_cents: a batch has 1 to {MOST_ROWS} rows, not {rows}")
    for name in FIELDS:
        if len(getattr(request, name)) != rows:
            raise WrongFieldError(
                f"{name}: {len(getattr(request, name))} rows, but value_in_cents has {rows}"
            )
    columns = _checked({name: np.array(getattr(request, name), kind) for name, kind in FIELDS.items()})
    return columns | _history(request, rows)


def _history(request: pb.AntifraudAssesmentBatchRequest, rows: int) -> Arrays:
    """Return what is known of the customers, if it is in the terms of this replica."""
    if not request.history or request.history_version != VERSION:
        return {}
    if len(request.history) != rows * len(FEATURES):
        raise WrongFieldError(
            f"history: {len(request.history)} values, but {rows} rows of {len(FEATURES)} are {rows * len(FEATURES)}"
        )
    return {"history": np.array(request.history, np.int64).reshape(rows, len(FEATURES))}


def _checked(columns: Arrays) -> Arrays:
    for name in ("latitude", "longitude"):
        finite = np.isfinite(columns[name])
        if not finite.all():
            raise WrongFieldError(f"{name}: row {int(np.argmin(finite))} is not a finite number")
    return columns

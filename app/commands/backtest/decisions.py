"""What was decided and what would have been, as columns: 39 bytes for each record of the log. No I/O."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.models.label import StoredLabel, rank, unstorable_label
from app.models.status import TransactionStatus

#: Codes of verdicts; NO_SCORE: there is nothing to decide by.
ACCEPTED, REJECTED, NO_SCORE = 0, 1, 2
#: Codes of labels.
NOT_LABELLED, FRAUD, GENUINE = 0, 1, 2

#: Texts are hashes of themselves and models are numbers; `before` was decided, `after` would have been.
ROW = np.dtype(
    [
        ("id", np.int64),
        ("customer", np.int64),
        ("cents", np.int64),
        ("revision", np.int32),
        ("model", np.int32),
        ("other_model", np.int32),
        ("before", np.int8),
        ("after", np.int8),
        ("has_features", np.bool_),
    ]
)
Rows = NDArray[Any]  # of ROW


class Decisions:
    """Statuses and labels in any order, each as often as the log has it.

    Of a transaction the highest revision counts, and the newest label.
    """

    def __init__(self) -> None:
        self.models: list[str] = []  # by their numbers
        self.unreadable = 0
        self._numbers: dict[str, int] = {}
        self._chunks: list[Rows] = []
        self._labels: dict[int, StoredLabel] = {}

    def add(
        self,
        statuses: Sequence[TransactionStatus],
        after: Sequence[int],
        other_models: Sequence[str],
        has_features: Sequence[bool],
    ) -> None:
        """Some records of transaction_status, none of them pending; the rest is in their order.

        `after`: the code of the other verdict, `other_models`: whose it is, `has_features`: whether what was known of
        the customer is on record.
        """
        rows = [
            (
                hash(one["transaction_id"]), hash(one["customer_id"]), one["value_in_cents"], one["revision"],
                self._number(one["model_version"] or "none"), self._number(other),
                REJECTED if one["status"] == "rejected" else ACCEPTED, verdict, is_known,
            )
            for one, verdict, other, is_known in zip(statuses, after, other_models, has_features, strict=True)
        ]  # fmt: skip
        self._chunks.append(np.array(rows, ROW))

    def add_label(self, label: StoredLabel) -> None:
        """A record of transaction_label."""
        if unstorable_label(label, time.time()):
            self.unreadable += 1
            return
        id_ = hash(label["transaction_id"])
        if (held := self._labels.get(id_)) is None or rank(label) > rank(held):
            self._labels[id_] = label

    def rows(self) -> Rows:
        """One row for each transaction, ordered by id."""
        if not self._chunks:
            return np.empty(0, ROW)
        rows = np.concatenate(self._chunks)
        rows = rows[np.lexsort((rows["revision"], rows["id"]))]
        is_last = np.append(rows["id"][1:] != rows["id"][:-1], True)
        newest: Rows = rows[is_last]
        return newest

    def labels_of(self, rows: Rows) -> NDArray[np.int8]:
        """The code of each row's label."""
        found = np.full(len(rows), NOT_LABELLED, np.int8)
        if not len(rows) or not self._labels:
            return found
        ids = np.fromiter(self._labels, np.int64, len(self._labels))
        codes = np.array([FRAUD if one["label"] == "fraud" else GENUINE for one in self._labels.values()])
        places = np.minimum(np.searchsorted(rows["id"], ids), len(rows) - 1)
        is_there = rows["id"][places] == ids
        found[places[is_there]] = codes[is_there]
        return found

    def _number(self, model: str) -> int:
        if model not in self._numbers:
            self._numbers[model] = len(self.models)
            self.models.append(model)
        return self._numbers[model]

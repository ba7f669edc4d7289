"""A transaction's features as its verdict's record has them: by name, and as the bytes that Avro writes for them.

Made for a batch at once. As dicts, which Avro then writes number by number, they cost more than all else of a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from history.features import FEATURES
from history.transactions import Ints

_COLUMN = {name: column for column, name in enumerate(FEATURES)}
_BITS = 7  # of a number in each byte; the eighth says that more follow


class Recorded(Mapping[str, int]):
    """The features of one transaction, by the names of history.features."""

    __slots__ = ("_row", "avro")

    def __init__(self, row: Ints, avro: bytes):
        """`avro`: the row as record `History` of schemas/avro/transaction_status.avsc."""
        self._row, self.avro = row, avro

    def __getitem__(self, name: str) -> int:
        return int(self._row[_COLUMN[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(FEATURES)

    def __len__(self) -> int:
        return len(FEATURES)


def recorded(rows: Ints) -> list[Recorded]:
    """Return each of the rows, whose columns are FEATURES in their order."""
    return [Recorded(row, avro) for row, avro in zip(rows, avro_longs(rows), strict=True)]


def avro_longs(rows: Ints) -> list[bytes]:
    """Return each row as Avro writes longs one after the other: zigzag, then seven bits a byte, the lowest first.

    Source: the Avro specification, "Binary encoding".
    """
    numbers = ((rows << 1) ^ (rows >> 63)).view(np.uint64)
    lengths = _lengths(numbers)
    ends = lengths.cumsum()
    first, lengths, numbers = ends - lengths.ravel(), lengths.ravel(), numbers.ravel()
    out = np.zeros(ends[-1] if len(ends) else 0, np.uint8)
    out[first] = numbers & np.uint64(127)
    for more in range(1, int(lengths.max(initial=1))):
        longer = np.flatnonzero(lengths > more)
        at = first[longer] + more
        out[at - 1] |= 128
        out[at] = (numbers[longer] >> np.uint64(_BITS * more)) & np.uint64(127)
    written = out.tobytes()
    row_ends = lengths.reshape(rows.shape).sum(axis=1).cumsum().tolist()
    return [written[start:end] for start, end in zip([0, *row_ends], row_ends, strict=False)]


def _lengths(numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return how many bytes each has: up to ten."""
    lengths = np.ones(numbers.shape, np.uint8)
    for bits in range(_BITS, int(numbers.max(initial=0)).bit_length(), _BITS):
        lengths += numbers >= np.uint64(1 << bits)
    return lengths

"""Features on record: whichever way they are written, a reader of the topic finds the same."""

import asyncio
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from app.errors import Poison
from app.messaging import topics
from app.messaging.codec import Codec
from app.models.status import features_of
from history.features import FEATURES
from history.recorded import avro_longs, recorded
from history.transactions import Ints
from tests.unit.samples import status

SMALLEST, LARGEST = -(2**63), 2**63 - 1
BEFORE_A_BYTE_MORE = [
    edge for bits in range(6, 63, 7) for edge in (2**bits - 1, 2**bits, -(2**bits), -(2**bits) - 1)
]

any_rows = arrays(
    np.int64,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.one_of(
        st.sampled_from(BEFORE_A_BYTE_MORE), st.integers(SMALLEST, LARGEST), st.integers(-1, 99)
    ),
)


def codec(schema: Any = None) -> Codec:
    async def fetch(_: int) -> None:
        return None

    return Codec(schema or topics.load_schema(topics.STATUS), 7, fetch)


def rows(*values: int) -> Ints:
    """One row of features for each."""
    return np.array([[one + column for column in range(len(FEATURES))] for one in values], np.int64)


def written_one_by_one(row: Ints) -> bytes:
    out = BytesIO()
    for number in row.tolist():
        fastavro.schemaless_writer(out, "long", number)
    return out.getvalue()


@given(any_rows)
def test_any_numbers_are_written_as_avro_writes_them_one_by_one(numbers: Ints) -> None:
    assert avro_longs(numbers) == [written_one_by_one(row) for row in numbers]


@pytest.mark.parametrize("number", [SMALLEST, LARGEST, 0, -1, *BEFORE_A_BYTE_MORE])
def test_so_is_every_edge(number: int) -> None:
    row = np.array([[number, 0, number]], np.int64)
    assert avro_longs(row) == [written_one_by_one(row[0])]


@pytest.mark.parametrize("shape", [(0, 41), (3, 0), (0, 0)])
def test_nothing_is_written_of_nothing(shape: tuple[int, int]) -> None:
    assert avro_longs(np.empty(shape, np.int64)) == [b""] * shape[0]


def test_a_reader_finds_the_same_as_if_they_had_been_written_by_their_names() -> None:
    for row, one in zip(rows(-1, 0, 300, 2**40), recorded(rows(-1, 0, 300, 2**40)), strict=True):
        by_name = dict(zip(FEATURES, row.tolist(), strict=True))
        values = [codec().encode(status(history=history, merchants_as_of=5)) for history in (one, by_name)]
        assert values[0] == values[1]
        (found,) = asyncio.run(codec().decode(values[:1]))
        assert (found["history"], found["merchants_as_of"]) == (by_name, 5)
        assert one == by_name
        assert features_of(status(history=one)) == row.tolist()


def test_what_else_does_not_fit_is_refused_as_ever() -> None:
    (history,) = recorded(rows(1))
    for field in ("value_in_cents", "merchants_as_of"):
        with pytest.raises(Poison, match="does not fit the schema"):
            codec().encode({**status(history=history), field: "much"})


@pytest.mark.parametrize("order", [(5, 5, None, 6), (None, None, 5, 5)])
def test_what_is_behind_them_is_each_records_own(order: tuple[int | None, ...]) -> None:
    one_codec, (history,) = codec(), recorded(rows(1))
    values = [one_codec.encode(status(history=history, merchants_as_of=offset)) for offset in order]
    found = asyncio.run(one_codec.decode(values))
    assert tuple(one["merchants_as_of"] for one in found) == order


def test_what_does_not_fit_behind_them_is_refused_even_if_it_equals_what_did() -> None:
    one_codec, (history,) = codec(), recorded(rows(1))
    one_codec.encode(status(history=history, merchants_as_of=1))
    with pytest.raises(Poison, match="does not fit the schema"):
        one_codec.encode(status(history=history, merchants_as_of=1.0))

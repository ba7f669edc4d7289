"""The list of features, and the map on which distances are measured."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from history.features import CUSTOMER, FEATURES, MERCHANT
from history.places import COSINES, distance_m

ROOT = Path(__file__).parents[2]


def test_each_feature_has_a_name_of_its_own_a_unit_and_a_meaning_of_one_line() -> None:
    assert len(set(FEATURES)) == len(FEATURES) == len(CUSTOMER) + len(MERCHANT)
    for one in (*CUSTOMER, *MERCHANT):
        assert one.unit
        assert one.meaning
        assert "\n" not in one.meaning + one.unknown


def test_a_history_needs_numpy_and_nothing_of_ours() -> None:
    code = "import sys, history.customers, history.merchants\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    found = {name.split(".")[0] for name in done.stdout.split()}
    assert not found & {"app", "antifraud", "schemas", "generator", "tensorflow", "faust", "pydantic", "grpc"}


def test_the_table_of_cosines_is_that_of_the_cosine() -> None:
    assert COSINES.tolist() == [round(math.cos(math.radians(degree)) * 65_536) for degree in range(91)]


@given(
    latitude=st.floats(-60, 60),
    longitude=st.floats(-180, 180),
    north=st.floats(-2, 2),
    east=st.floats(-2, 2),
)
def test_a_distance_of_a_few_hundred_km_is_within_one_percent_of_the_great_circle(
    latitude: float, longitude: float, north: float, east: float
) -> None:
    there = (latitude + north, (longitude + east + 180) % 360 - 180)
    one, other = (np.array([[round(x * 1e6)] for x in place]) for place in ((latitude, longitude), there))
    found = int(distance_m(*one, *other)[0])
    assert abs(found - great_circle_m(latitude, longitude, *there)) <= 0.01 * found + 5
    assert found == int(distance_m(*other, *one)[0])


def great_circle_m(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    one, other, turned = map(math.radians, (latitude, other_latitude, other_longitude - longitude))
    half = math.sin((other - one) / 2) ** 2 + math.cos(one) * math.cos(other) * math.sin(turned / 2) ** 2
    return 2 * 6_371_009 * math.asin(math.sqrt(half))

"""Distance between two places, in integers: no trigonometry at run time, whose last bit differs between machines."""

from __future__ import annotations

import numpy as np

from history.transactions import MICRO, Ints

METRES_PER_DEGREE = 111_195
_SCALE_BITS = 16
#: The cosine of 0, 1, ... 90 degrees, times 2^16, rounded.
COSINES = np.array([
    65536, 65526, 65496, 65446, 65376, 65287, 65177, 65048, 64898, 64729, 64540, 64332, 64104,
    63856, 63589, 63303, 62997, 62672, 62328, 61966, 61584, 61183, 60764, 60326, 59870, 59396,
    58903, 58393, 57865, 57319, 56756, 56175, 55578, 54963, 54332, 53684, 53020, 52339, 51643,
    50931, 50203, 49461, 48703, 47930, 47143, 46341, 45525, 44695, 43852, 42995, 42126, 41243,
    40348, 39441, 38521, 37590, 36647, 35693, 34729, 33754, 32768, 31772, 30767, 29753, 28729,
    27697, 26656, 25607, 24550, 23486, 22415, 21336, 20252, 19161, 18064, 16962, 15855, 14742,
    13626, 12505, 11380, 10252, 9121, 7987, 6850, 5712, 4572, 3430, 2287, 1144, 0,
], np.int64)  # fmt: skip
_TURN, _POLE = 360 * MICRO, 90 * MICRO


def distance_m(latitude: Ints, longitude: Ints, other_latitude: Ints, other_longitude: Ints) -> Ints:
    """Return metres between places in micro-degrees, on a flat map scaled at the middle latitude.

    Within 1 % of the great circle for a few hundred km up to 60 degrees of latitude, and up to twice as long as it
    across the globe. A latitude beyond 90 degrees is a place of its own, with the pole's scale.
    """
    north = np.abs(latitude - other_latitude) * METRES_PER_DEGREE // MICRO
    turned = np.abs(longitude - other_longitude)
    turned = np.minimum(turned, _TURN - turned)
    middle = np.abs(latitude + other_latitude) // 2
    east = (turned * METRES_PER_DEGREE // MICRO * _cosine(middle)) >> _SCALE_BITS
    # The sum is below 2^53, where a double's square root is the nearest one on every machine.
    metres: Ints = np.sqrt((north * north + east * east).astype(np.float64)).astype(np.int64)
    return metres


def _cosine(latitude: Ints) -> Ints:
    """Return the cosine times 2^16, linear between whole degrees, 0 from the pole on; micro-degrees >= 0."""
    latitude = np.minimum(latitude, _POLE - 1)
    degree = latitude // MICRO
    below = COSINES[degree]
    cosine: Ints = below + (COSINES[degree + 1] - below) * (latitude - degree * MICRO) // MICRO
    return cosine

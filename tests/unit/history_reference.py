"""The features straight from their definitions, with every transaction kept in a list: slow, and easy to believe."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from history.features import CUSTOMER_FEATURES
from history.transactions import Transactions

DAY = 86_400


@dataclass(frozen=True)
class Seen:
    time: int
    client_time: int
    amount: int
    merchant: int
    latitude: int
    longitude: int
    band: int


class Reference:
    """All transactions of all customers."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Seen]] = {}

    def observe(self, batch: Transactions) -> list[list[int]]:
        return [self._one(batch, row) for row in range(len(batch))]

    def _one(self, batch: Transactions, row: int) -> list[int]:
        earlier = self.seen.setdefault(batch.customer_ids[row], [])
        now = seen(batch, row, earlier)
        found = features(earlier, now)
        earlier.append(now)
        return [found[name] for name in CUSTOMER_FEATURES]


def seen(batch: Transactions, row: int, earlier: list[Seen]) -> Seen:
    event_time = min(max(int(batch.event_timestamp[row]), 0), 2**32 - 1)
    client_time = min(max(int(batch.transaction_timestamp[row]), -(2**40)), 2**40)
    longitude = micro(float(batch.longitude[row]))
    return Seen(
        max(event_time, earlier[-1].time if earlier else 0),
        client_time,
        min(max(int(batch.value_in_cents[row]), 0), 2**40 - 1),
        zlib.crc32(batch.merchant_ids[row].encode("utf-8", "surrogatepass")),
        micro(float(batch.latitude[row])),
        longitude,
        (client_time + (longitude * 240 + 500_000) // 1_000_000) % DAY // 10_800,
    )


def micro(degrees: float) -> int:
    return 0 if math.isnan(degrees) else round(min(max(degrees, -180.0), 180.0) * 1_000_000)


def features(earlier: list[Seen], now: Seen) -> dict[str, int]:
    last_32 = earlier[-32:]
    found: dict[str, int] = {}
    for name, seconds in (("1m", 60), ("10m", 600), ("1h", 3_600)):
        found |= window(name, [one.amount for one in last_32 if one.time > now.time - seconds])
    for name, size, whole in (("24h", 14_400, 6), ("7d", DAY, 7), ("30d", DAY, 30)):
        oldest = now.time // size - whole
        inside = [one for one in earlier if one.time // size >= oldest]
        found |= window(name, [one.amount for one in inside])
    found["known"] = min(len(earlier), 1_000_000)
    found["merchants"] = len({one.merchant for one in last_32})
    found["saturated"] = int(len(last_32) == 32 and now.time - last_32[0].time < 3_600)
    if not earlier:
        names = "median spread seconds_since_last distance_km seconds_between speed_kmh"
        names += " new_merchant small_permille habit_permille"
        return found | dict.fromkeys(names.split(), -1)
    last = earlier[-1]
    amounts = sorted(one.amount for one in last_32)
    mean = sum(amounts) // len(amounts)
    found["median"] = amounts[(len(amounts) - 1) // 2]
    found["spread"] = sum(abs(one - mean) for one in amounts) // len(amounts)
    found["seconds_since_last"] = now.time - last.time
    found["seconds_between"] = max(now.client_time - last.client_time, 0)
    metres = distance_m(last, now)
    found["distance_km"] = metres // 1_000
    found["speed_kmh"] = min(metres * 3_600 // (1_000 * max(found["seconds_between"], 1)), 100_000)
    found["new_merchant"] = int(all(one.merchant != now.merchant for one in last_32))
    found["small_permille"] = sum(one < 500 for one in amounts) * 1_000 // len(amounts)
    found["habit_permille"] = sum(one.band == now.band for one in earlier) * 1_000 // len(earlier)
    return found


def window(name: str, amounts: list[int]) -> dict[str, int]:
    return {
        f"count_{name}": len(amounts),
        f"sum_{name}": sum(amounts),
        f"largest_{name}": max(amounts, default=-1),
    }


def distance_m(one: Seen, other: Seen) -> int:
    north = abs(one.latitude - other.latitude) * 111_195 // 1_000_000
    turned = abs(one.longitude - other.longitude)
    turned = min(turned, 360_000_000 - turned)
    east = (turned * 111_195 // 1_000_000 * cosine(abs(one.latitude + other.latitude) // 2)) // 65_536
    return math.isqrt(north**2 + east**2)


def cosine(latitude: int) -> int:
    degree, part = divmod(min(latitude, 89_999_999), 1_000_000)
    below, above = (round(math.cos(math.radians(one)) * 65_536) for one in (degree, degree + 1))
    return below + (above - below) * part // 1_000_000


def transactions(*rows: dict[str, Any]) -> Transactions:
    """A batch of such rows; what a row does not say is as in DEFAULTS."""
    return Transactions.of([DEFAULTS | row for row in rows])


DEFAULTS: dict[str, Any] = {
    "customer_id": "c",
    "merchant_id": "m",
    "value_in_cents": 1_000,
    "transaction_timestamp": 1_700_000_000,
    "event_timestamp": 1_700_000_000,
    "latitude": 0.0,
    "longitude": 0.0,
}


def random_log(rows: int, customers: int, seed: int, pause: float) -> Transactions:
    """A log of which each column is random; `pause`: mean seconds between two transactions of all."""
    random = np.random.default_rng(seed)
    time = 1_700_000_000 + np.cumsum(random.exponential(pause, rows)).astype(np.int64)
    who = (random.random(rows) ** 2 * customers).astype(np.int64)  # some much more often than others
    return Transactions(
        [f"customer-{one}" for one in who],
        [f"merchant-{one}" for one in random.integers(0, 40, rows)],
        np.exp(random.normal(8, 3, rows)).astype(np.int64) + 1,
        time + random.integers(-3_000, 3_000, rows),
        time + random.integers(-90, 90, rows),
        random.uniform(-180, 180, rows),
        random.uniform(-180, 180, rows),
    )

"""Customers' transactions, within the contract's ranges."""

import uuid
from collections.abc import Iterator
from random import Random

CUSTOMERS = tuple(str(uuid.uuid5(uuid.NAMESPACE_URL, f"customer-{n}")) for n in range(100))
CENTS = (50, 1_345_454_553)
TIMESTAMPS = (1_224_409_756, 1_624_079_756)
DESCRIPTION = "some purchase"

Transaction = dict[str, int | float | str]


def transaction(rng: Random) -> Transaction:
    """One transaction of one of the hundred customers, as the body of its POST."""
    return {
        "value_in_cents": rng.randint(*CENTS),
        "description": DESCRIPTION,
        "customer_id": rng.choice(CUSTOMERS),
        "merchant_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "transaction_timestamp": rng.randint(*TIMESTAMPS),
        "latitude": rng.randint(1, 100) * rng.random(),
        "longitude": rng.randint(1, 100) * rng.random(),
    }


def transactions(count: int | None = None, seed: int | None = None) -> Iterator[Transaction]:
    """The first `count` transactions (without end if None); the same ones again for the same seed."""
    rng = Random(seed)
    sent = 0
    while count is None or sent < count:
        yield transaction(rng)
        sent += 1

"""The bill of machines: from what one transaction of very many costs in each part to how many of each a rate takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from benchmarks.cpu import CASSANDRA

RATES = (1_000, 10_000, 100_000, 1_000_000)
#: The machine that is billed: cores, and gigabits a second of its network.
CORES, GBIT = 16, 10.0
BUSY = 0.6  # of a core, or of a network, is used: the rest is for a peak, a neighbour that is down, a restart
COPIES = 3  # that Kafka keeps of a record; here it is one, so its cost is taken three times, which is too much rather
PARTITIONS = 12  # infra/kubernetes
DAY = 86_400
#: Bytes on disk of a transaction. By size of the folders before and after 100,000 POSTs: Kafka's topics, one copy;
#: a node of three that has every row, compressed and with its index.
DISK = {"kafka": 740.0, **dict.fromkeys(CASSANDRA, 258.0)}


@dataclass(frozen=True)
class Part:
    """What is billed together. `one`: a process of it uses one core at most."""

    name: str
    processes: tuple[str, ...]
    one: bool
    copies: int = 1
    least: int = 1


PARTS = (
    Part("bff", ("bff",), one=True, least=2),
    Part("transactions worker", ("transactions",), one=True, least=2),
    Part("Redis", ("redis",), one=True),
    Part("antifraud", ("antifraud-1", "antifraud-2"), one=True, least=2),
    Part("Envoy", ("envoy",), one=False, least=2),
    Part("Kafka", ("kafka",), one=False, copies=COPIES, least=3),
    Part("Cassandra", CASSANDRA, one=False, least=3),
)


def cost(model: Mapping[str, Any], part: Part) -> float:
    """CPU seconds of one transaction of very many, over all its processes."""
    each: Mapping[str, float] = model["each"]
    return part.copies * sum(each[process] for process in part.processes)


def on_disk(part: Part) -> float:
    """Bytes of a transaction, one copy of Kafka's."""
    return sum(DISK.get(process, 0.0) for process in part.processes)


@dataclass(frozen=True)
class Line:
    """Of one part at one rate: busy cores, processes of a core each (0: it uses as many cores as it is given)."""

    part: str
    cores: float
    processes: int


@dataclass(frozen=True)
class Bill:
    """At one rate."""

    rate: int
    lines: tuple[Line, ...]
    partitions: int
    gbit: float  # that Kafka's brokers take and send, copies among brokers included
    tb_a_day: float
    machines: int

    @property
    def cores(self) -> float:
        """Busy."""
        return sum(line.cores for line in self.lines)


def bill(model: Mapping[str, Any], rate: int) -> Bill:
    """What the rate takes."""
    lines = tuple(_line(part, cost(model, part) * rate) for part in PARTS)
    wire = model["wire"]["kafka"] * rate * COPIES * 8 / 1e9
    clustered = [line for line in lines if line.part in ("Kafka", "Cassandra")]
    others = sum(line.cores for line in lines if line not in clustered)
    machines = max(2, ceil(others / (CORES * BUSY))) + sum(
        max(3, ceil(line.cores / (CORES * BUSY)), ceil(wire / (GBIT * BUSY)) if line.part == "Kafka" else 0)
        for line in clustered
    )
    stored = sum(part.copies * on_disk(part) for part in PARTS)
    (workers,) = (line.processes for line in lines if line.part == "transactions worker")
    return Bill(rate, lines, partitions(workers), wire, stored * rate * DAY / 1e12, machines)


def _line(part: Part, cores: float) -> Line:
    return Line(part.name, cores, max(part.least, ceil(cores / BUSY)) if part.one else 0)


def partitions(workers: int) -> int:
    """At least one for each, in multiples of what there is: then a customer's history is in one old partition."""
    return PARTITIONS * ceil(workers / PARTITIONS)


def limits(model: Mapping[str, Any]) -> dict[str, float]:
    """Transactions a second at which one process of a part has no core left, the first to break first."""
    of_one = {part.name: 1 / cost(model, part) for part in PARTS if part.one and cost(model, part)}
    return dict(sorted(of_one.items(), key=lambda item: item[1]))

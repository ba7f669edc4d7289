"""A histogram for a batch of values: Prometheus' own takes a lock and walks its buckets for each value."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class BatchHistogram(Collector):
    """Without labels; from one thread, as the event loop is."""

    def __init__(self, name: str, documentation: str, buckets: Sequence[float], registry: CollectorRegistry):
        """`buckets`: upper bounds, ascending; one without a bound is added."""
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(buckets)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe_all(self, values: Iterable[float]) -> None:
        """Count each value once; a negative one as 0, as a duration by two clocks may be."""
        ascending, below = sorted(values), 0
        for index, bound in enumerate(self._bounds):
            up_to = bisect_right(ascending, bound, below)
            self._counts[index] += up_to - below
            below = up_to
        self._counts[-1] += len(ascending) - below
        self._sum += sum(value for value in ascending if value > 0)

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Name, type and help."""
        yield HistogramMetricFamily(self._name, self._documentation)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The counts so far."""
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        buckets = list(zip(names, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets, self._sum)

"""Counters as they rise: what a worker's /metrics has that is shown here, and what lies between two looks. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

#: A sample's name and its labels, sorted.
Key = tuple[str, tuple[tuple[str, str], ...]]
Counts = Mapping[Key, float]

POSTS = "payments_http_request_seconds"
END_TO_END = "payments_end_to_end_seconds"
#: What is read; of the histogram of requests only the POSTs' buckets.
WANTED = (
    f"{POSTS}_count",
    f"{POSTS}_bucket",
    f"{END_TO_END}_bucket",
    "payments_reads_total",
    "payments_batch_records_sum",
    "payments_verdicts_total",
    "payments_step_retries_total",
    "payments_step_busy_seconds_total",
    "payments_step_waiting_seconds_total",
    "payments_assessments_total",
    "payments_cassandra_requests_total",
    "payments_oldest_record_seconds",
    "payments_partition_held_seconds",
)
_BUCKET = f"{POSTS}_bucket"
_POSTED = 'method="POST"'
#: Series whose names are remembered: each worker has a few hundred.
SERIES_MOST = 10_000

_keys: dict[str, Key] = {}  # by a line without its value


def of_text(text: str) -> Counts:
    """What /metrics answers; ValueError. What is 0 is left out: nothing has been counted there."""
    counts = {}
    for line in text.splitlines():
        if line.startswith(WANTED) and not line.endswith(" 0.0"):
            series, _, value = line.rpartition(" ")
            if not series.startswith(_BUCKET) or _POSTED in series:
                counts[_key(series)] = float(value)
    return counts


def _key(series: str) -> Key:
    """Read once: the parser is slow, and the series are the same at each look."""
    if series not in _keys:
        if len(_keys) >= SERIES_MOST:
            _keys.clear()
        ((sample,),) = (family.samples for family in text_string_to_metric_families(f"{series} 0\n"))
        _keys[series] = sample.name, tuple(sorted(sample.labels.items()))
    return _keys[series]


def of_registry(registry: Collector) -> Counts:
    """This process's own."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.value and sample.name in WANTED and _is_wanted(sample)
    }


def _is_wanted(sample: Sample) -> bool:
    return sample.name != _BUCKET or sample.labels["method"] == "POST"


def risen(before: Counts, after: Counts) -> dict[Key, float]:
    """What was counted between two looks at one worker; one that began anew has counted all that it shows."""
    return {
        key: value - was if value >= (was := before.get(key, 0.0)) else value for key, value in after.items()
    }


def added(many: Iterable[Counts]) -> dict[Key, float]:
    """All together."""
    total: defaultdict[Key, float] = defaultdict(float)
    for counts in many:
        for key, value in counts.items():
            total[key] += value
    return dict(total)


def chosen(counts: Counts, name: str, **labels: str) -> Iterator[tuple[Mapping[str, str], float]]:
    """The labels and values of a metric's samples that have these labels."""
    wanted = labels.items()
    for (found, pairs), value in counts.items():
        if found == name and wanted <= (given := dict(pairs)).items():
            yield given, value


def total(counts: Counts, name: str, **labels: str) -> float:
    """The sum of a metric over all labels that are not given."""
    return sum(value for _, value in chosen(counts, name, **labels))


def by_label(counts: Counts, name: str, label: str, **labels: str) -> dict[str, float]:
    """The sums of a metric by one label."""
    sums: defaultdict[str, float] = defaultdict(float)
    for given, value in chosen(counts, name, **labels):
        sums[given[label]] += value
    return dict(sums)


def quantiles(counts: Counts, histogram: str, of: Sequence[float], **labels: str) -> list[float | None]:
    """Quantiles of what was observed, from the buckets as Prometheus does it; None where nothing was."""
    buckets = by_label(counts, f"{histogram}_bucket", "le", **labels)
    return [quantile(sorted((float(le), count) for le, count in buckets.items()), q) for q in of]


def quantile(buckets: Sequence[tuple[float, float]], q: float) -> float | None:
    """`buckets`: upper bounds and how many were below, the last one infinity. Beyond the last bound: that bound."""
    if not buckets or buckets[-1][1] <= 0:
        return None
    rank = q * buckets[-1][1]
    for (lower, below), (upper, upto) in pairwise([(0.0, 0.0), *buckets]):
        if upto >= rank:
            if upper == float("inf"):
                return lower
            return lower + (upper - lower) * (rank - below) / ((upto - below) or 1.0)
    return None  # counts that fall: two looks that do not belong together

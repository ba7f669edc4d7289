"""What the stack did while it was measured: the worker's rounds, how long its steps took, how many cores were busy."""

import time
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import cpu
from infra.native import processes
from reconciliation import readers

STEPS = ("decide", "publish", "store", "remember")  # the last one is the bff's
ROUND = "transaction_created"


class Look(NamedTuple):
    """One moment: seconds, CPU seconds by process, sums and counts of the histograms by what they are of."""

    at: float
    spent: cpu.Seconds
    sums: Mapping[str, float]
    counts: Mapping[str, float]


class Meanwhile(NamedTuple):
    """Between two looks: rounds a second, records a round, milliseconds a step, cores by process."""

    rounds: float
    records: float
    steps: Mapping[str, float]
    cores: Mapping[str, float]

    @property
    def busy(self) -> float:
        """Cores of the whole machine that were at work."""
        return sum(self.cores.values())


async def look() -> Look:
    """Now; the metrics are the bff's and the transactions worker's."""
    sums, counts = dict[str, float](), dict[str, float]()
    worker = f"http://127.0.0.1:{processes.states()['transactions'].port}"
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for url in (readers.bff_url(), worker):
            async with session.get(f"{url}/metrics") as response:
                read(await response.text(), sums, counts)
    return Look(time.monotonic(), cpu.used(), sums, counts)


def read(text: str, sums: dict[str, float], counts: dict[str, float]) -> None:
    """Put what the text of /metrics says of steps and rounds into `sums` and `counts`."""
    for family in text_string_to_metric_families(text):
        if family.name in ("payments_step_seconds", "payments_batch_records"):
            for sample in family.samples:
                of = sample.labels.get("step") or sample.labels["topic"]
                if sample.name.endswith("_sum"):
                    sums[of] = sample.value
                elif sample.name.endswith("_count"):
                    counts[of] = sample.value


def between(before: Look, after: Look) -> Meanwhile:
    """What happened from one look to the other."""

    def mean(of: str) -> float:
        count = after.counts.get(of, 0) - before.counts.get(of, 0)
        return (after.sums.get(of, 0) - before.sums.get(of, 0)) / count if count else 0.0

    seconds = after.at - before.at
    return Meanwhile(
        (after.counts.get(ROUND, 0) - before.counts.get(ROUND, 0)) / seconds,
        mean(ROUND),
        {step: 1e3 * mean(step) for step in STEPS},
        {name: spent / seconds for name, spent in cpu.between(before.spent, after.spent).items()},
    )

"""Live: how soon who listens, or waits, learns of a verdict, and what listeners cost the bff."""

import json
import time
from typing import NamedTuple

import aiohttp

from benchmarks import arrivals, cpu, report
from benchmarks.listeners import listening
from benchmarks.result import Figure, Result
from generator.client import PATH
from reconciliation import readers
from reconciliation.summary import percentile

PAGES, LISTENERS = 50, 500
PAGES_RATE, RATE = 20.0, 100.0  # transactions a second
SEEN_P50, WAITED_P50, CORES = 50.0, 5.0, 0.5
SEED = 7


class Plan(NamedTuple):
    """How much: seconds of each load, transactions that are waited for."""

    load: float
    waited: int


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up."""
    plan = Plan(8, 40) if quick else Plan(20, 150)
    await arrivals.alone(30, SEED)
    print(f"{PAGES} listeners at {PAGES_RATE:g} a second ...", flush=True)
    async with listening(PAGES) as reader:
        await arrivals.constant(PAGES_RATE, plan.load, SEED)
        seen = list(reader.took)
    print(f"nobody, then {LISTENERS} listeners, at {RATE:g} a second ...", flush=True)
    without = await _cores(plan.load)
    async with listening(LISTENERS):
        with_ = await _cores(plan.load)
    print(f"{plan.waited} transactions, each waited for ...", flush=True)
    waited = await _waited(plan.waited)
    figures = [
        Figure(f"status published to seen, {PAGES} listeners, p50", [_ms(seen, 50)], "ms", at_most=SEEN_P50),
        Figure(f"status published to seen, {PAGES} listeners, p99", [_ms(seen, 99)], "ms"),
        Figure(
            f"what {LISTENERS} listeners cost the bff at {RATE:g} a second",
            [with_ - without], "cores", at_most=CORES, peer=f"without: {without:.2f}",
        ),
        Figure("status published to the answer of ?wait=, p50", [_ms(waited, 50)], "ms", at_most=WAITED_P50),
        Figure("status published to the answer of ?wait=, p99", [_ms(waited, 99)], "ms"),
    ]  # fmt: skip
    settings = plan._asdict() | {"pages": PAGES, "listeners": LISTENERS, "rates": [PAGES_RATE, RATE]}
    return Result("Live", settings, figures, raw={"seen": seen, "waited": waited})


async def _cores(seconds: float) -> float:
    """Cores that the bff uses at the rate."""
    began, before = time.monotonic(), cpu.used()
    await arrivals.constant(RATE, seconds, SEED)
    return cpu.between(before, cpu.used())["bff"] / (time.monotonic() - began)


async def _waited(count: int) -> list[float]:
    """Seconds from each publication until a GET that waited for it was answered."""
    answered = dict[str, float]()
    body = arrivals.bodies(SEED)
    headers = {"Content-Type": "application/json"}
    async with listening(1) as reader, aiohttp.ClientSession(readers.bff_url(), headers=headers) as session:
        for _ in range(count):
            async with session.post(PATH, data=next(body)) as answer:
                id_ = json.loads(await answer.read())["transaction_id"]
            async with session.get(f"{PATH}/{id_}", params={"wait": "5"}) as answer:
                await answer.read()
                answered[id_] = time.time()
        return [at - reader.published[id_] for id_, at in answered.items() if id_ in reader.published]


def _ms(seconds: list[float], percent: float) -> float:
    return 1e3 * percentile(seconds, percent)


if __name__ == "__main__":
    report.command("live", measure)

"""The autoscaler rehearsed with real processes: an outage under load, and workers added as the lag asks for them.

    python -m exercises.scaling [--outage 60]    # 9 minutes; writes exercises/scaling.md and scaling.json

There is no cluster: each 15 seconds the lag of the running stack is put into the arithmetic of KEDA and the autoscaler
(exercises/autoscaler.py), with the numbers of infra/kubernetes, and what it decides is done as `make scale` does it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from benchmarks import backlog, progress, report, stage, traffic
from benchmarks.traffic import CREATED, PARTITIONS, Record, Schema
from exercises import scaling_report
from exercises.autoscaler import Autoscaler, Rules, rules
from exercises.context import say
from exercises.drain import World, expected_steps, formula, simulate
from exercises.relay import Relay
from generator.traffic import transactions
from infra.native import ports
from infra.native.wording import Parser

SHARES = (0.5, 0.8, 0.95)  # of what one worker decides
TOLERATED = 5.0  # seconds of lag for which there is a worker more, as infra/kubernetes has it
#: A worker that waits for antifraud uses no core meanwhile: so several on this machine do more than one.
DELAY, BATCH = 0.5, 100  # seconds of each assessment, transactions in one
WITHIN = 0.2  # the error that is meant to be reached
CUSTOMERS = 10_000  # so many that each partition has its share
CALIBRATED = 20.0  # seconds of work from which a worker's rate is known
BOUND = 240.0  # seconds for a backlog
SEED = 31


async def perform(outage: float) -> dict[str, Any]:
    """Calibrate, then an outage at each load; on a stack that is up and has nothing stored."""
    relay, enough = (
        Relay((ports.endpoints("envoy")[0].host, ports.endpoints("envoy")[0].port)),
        threading.Event(),
    )
    relay.delay = DELAY
    relaying = asyncio.create_task(relay.serve(enough))
    try:
        with slow(relay.port):
            world = await _calibrated()
            scaled = rules().on(PARTITIONS, 1, TOLERATED * world.rate)
            say(f"a worker decides {world.rate:.0f} a second and needs {world.start:.1f} s to start")
            found = [
                await _outage(scaled, World(share * world.rate, world.rate, world.start), outage)
                for share in SHARES
            ]
    finally:
        enough.set()
        await relaying
    return {
        "outage": outage,
        "delay": DELAY,
        "batch": BATCH,
        "world": asdict(world),
        "rules": asdict(scaled),
        "loads": found,
    }


@contextmanager
def slow(port: int) -> Iterator[None]:
    """Workers that are started meanwhile ask antifraud through the relay, and little at a time."""
    variables = {"PAYMENTS_ANTIFRAUD_ADDRESS": f"127.0.0.1:{port}", "PAYMENTS_BATCH_SIZE": str(BATCH)}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


async def _calibrated() -> World:
    """What one worker decides, and how long its start takes; the load is not known yet."""
    await asyncio.to_thread(stage.stop, stage.WORKER)
    await _feed(int(CALIBRATED * BATCH / DELAY))
    async with progress.group() as group:
        await backlog.left(group)
        start = await _started(group)
        before, at = await group.committed(), time.monotonic()
        await asyncio.sleep(CALIBRATED / 2)
        rate = (await group.committed() - before) / (time.monotonic() - at)
        await backlog.drained(group)
    return World(0.0, rate, start)


async def _started(group: progress.Group) -> float:
    """Start the first worker; seconds until it has its partitions."""
    began = time.monotonic()
    await asyncio.to_thread(stage.start, stage.WORKER)
    async with asyncio.timeout(BOUND):
        while not await group.workers():  # noqa: ASYNC110  # another process' state
            await asyncio.sleep(0.1)
    return time.monotonic() - began


async def _outage(scaled: Rules, world: World, outage: float) -> dict[str, Any]:
    """The worker stops while the load goes on, comes back, and is joined by others until nothing is behind."""
    say(
        f"\nload {world.load:.0f} a second, {world.load / world.rate:.0%} of a worker: no worker for {outage:.0f} s"
    )
    feeding = asyncio.create_task(_load(world.load))
    scaler = Autoscaler(scaled, 1)
    try:
        async with progress.group() as group:
            await asyncio.to_thread(stage.stop, stage.WORKER)
            poll = stopped = time.monotonic()
            # Polls of the outage: no partition moves, and what stands still asks for nobody.
            while poll <= stopped + outage:
                await asyncio.sleep(poll - time.monotonic())
                scaler.decide(poll, 0.0)
                poll += scaled.poll
            await asyncio.sleep(stopped + outage - time.monotonic())
            await _started(group)
            back, behind = time.monotonic(), await _lag(group)
            predicted = formula(behind, world, expected_steps(scaled, world, behind))
            simulated = simulate(scaled, world, behind / world.load)
            say(
                f"{behind:,} behind; the formula says {predicted:.0f} s, the simulation {simulated.drained:.0f} s"
            )
            lags = await _drained(group, scaler, world, back, poll)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    measured = lags[-1][0]
    say(f"drained after {measured:.0f} s, with {len(scaler.events)} scale events")
    await asyncio.to_thread(stage.scale, 1)
    async with progress.group() as group:
        await backlog.drained(group)
    return {
        "share": world.load / world.rate,
        "load": world.load,
        "backlog": behind,
        "formula": predicted,
        "simulated": simulated.drained,
        "measured": measured,
        "events": [(at - back, workers) for at, workers in scaler.events],
        "lags": lags,
    }  # fmt: skip


async def _drained(
    group: progress.Group, scaler: Autoscaler, world: World, back: float, poll: float
) -> list[tuple[float, int]]:
    """Seconds and lag, until it is what a second or two bring; scale meanwhile as the autoscaler decides.

    `poll`: when it is to look next.
    """
    lags, scaling = list[tuple[float, int]](), asyncio.create_task(asyncio.sleep(0))
    async with asyncio.timeout(BOUND):
        while not lags or lags[-1][1] > 2 * world.load:
            await asyncio.sleep(0.5)
            now, lag = time.monotonic(), await _lag(group)
            lags.append((now - back, lag))
            if now < poll:
                continue
            before, workers = scaler.workers, scaler.decide(poll, lag)
            poll += scaler.rules.poll
            if workers != before:
                say(f"  {now - back:5.0f} s: {lag:,} behind, {before} workers become {workers}")
                await scaling  # one after the other, as a controller does
                scaling = asyncio.create_task(asyncio.to_thread(stage.scale, workers))
        await scaling
    return lags


async def _lag(group: progress.Group) -> int:
    return await group.end() - await group.committed()


async def _load(rate: float) -> None:
    """So many a second, half a second's worth at a time, until cancelled."""
    due = time.monotonic()
    while True:
        due += 0.5
        await _feed(round(rate / 2))
        await asyncio.sleep(due - time.monotonic())


async def _feed(count: int) -> None:
    """Of many customers: with few, one partition has more than its share, and a worker that others cannot help."""
    await traffic.feed(await asyncio.to_thread(_records, count))


def _records(count: int) -> list[Record]:
    schema, began = Schema(CREATED), time.time()
    return [
        traffic.created(
            {
                **body,
                "customer_id": f"customer-{(int(1000 * began) + number) % CUSTOMERS}",
                "transaction_id": traffic.uuid7(began),
                "event_timestamp": int(began),
            },
            schema,
        )
        for number, body in enumerate(transactions(count, SEED))
    ]


def main() -> int:
    """What the command line says."""
    parser = Parser(prog="python -m exercises.scaling", description=__doc__)
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without a worker (%(default)s)")
    outage: float = parser.parse_args().outage
    report.ends_in_order()
    context = report.context(f"python -m exercises.scaling --outage {outage:g}")
    with stage.ready_and_empty():
        found = asyncio.run(perform(outage)) | context
    say(f"\n{scaling_report.write(found)}")
    wrong = [one for one in found["loads"] if abs(one["formula"] / one["measured"] - 1) > WITHIN]
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: the stack is down, nothing was written")

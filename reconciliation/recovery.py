"""`make recovery`: both stores thrown away while a client watches, rebuilt from the log, and verified."""

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cassandra.cluster import Cluster
from cassandra.io.libevreactor import LibevConnection
from redis import Redis
from tqdm import tqdm

from generator.client import Answer, send
from generator.traffic import transactions
from infra.native import ports
from infra.native.paths import ROOT
from infra.native.ports import cassandra_hosts, cassandra_port
from reconciliation import readers
from reconciliation.client_probe import ClientProbe, newest
from reconciliation.demo import no_other_traffic, running

COUNT = 20_000
RATE = 2_000.0
DECIDED_WITHIN = 120.0
SAMPLE = 20
LOOK_BEFORE, LOOK_AFTER = 4.0, 3.0
#: The bff checks twice per second whether Redis is complete.
NOTICED_WITHIN = 1.5
#: A truncation waits for every node.
TRUNCATE_WITHIN = 60.0


def run(count: int) -> int:
    """Send, throw away, replay, verify; 0 if nothing differs."""
    with running("") as started, no_other_traffic(stays_up=started is None):
        ids = _sent(count)
        say("\n> Before: are the log, Cassandra and Redis the same?")
        if faust("verify") != 0:
            raise SystemExit("they differ before anything was thrown away: see above; make clean begins anew")
        before = asyncio.run(newest())
        with watched(_sample(ids)) as probe:
            thrown = throw_away()
            time.sleep(LOOK_BEFORE)
            say("\n> Both written again, from transaction_status alone")
            replayed = faust("replay")
            time.sleep(LOOK_AFTER)
        say("\n> After: are the log, Cassandra and Redis the same?")
        verified = faust("verify")
        listed = asyncio.run(newest(len(probe.posted)))
    lies = [moment for moment in probe.lies if moment > thrown + NOTICED_WITHIN]
    kept = {
        "replay came to its end": replayed == 0,
        "verify: log, Cassandra and Redis agree in every column": verified == 0,
        "GET lists what it listed before, in the same order": listed == before,
        "no POST was refused meanwhile": bool(probe.posted) and not probe.refused,
        f"from {NOTICED_WITHIN:g} s on no short list and no 404 that did not say why": not lies,
    }
    say("\n> Outcome")
    for promise, held in kept.items():
        say(f"  {'yes' if held else 'NO '}  {promise}")
    return 0 if all(kept.values()) else 1


def say(text: str) -> None:
    """Print a line at once: other processes write between ours."""
    print(text, flush=True)


def faust(*arguments: str) -> int:
    """Run a command of the app on this terminal, as a person does."""
    say(f"$ faust -A app.main {' '.join(arguments)}")
    command = [sys.executable, "-m", "faust", "-A", "app.main", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _sent(count: int) -> list[str]:
    """Send that many transactions and wait until they are decided; their ids, in the order of the answers."""
    say(f"> Sending {count:,} transactions to {readers.bff_url()}")
    answers: list[Answer] = []
    with tqdm(total=count, unit=" transactions", disable=None) as bar:

        def published(answer: Answer) -> None:
            answers.append(answer)
            bar.update()

        asyncio.run(send(transactions(count), published, url=readers.bff_url(), rate=RATE, timeout=20.0))
    ids = [answer.transaction_id for answer in answers if answer.transaction_id]
    say(f"{len(ids):,} of {len(answers):,} acknowledged with 201")
    if not ids:
        raise SystemExit("none was acknowledged: see make ps")
    _wait_until_decided(ids[-SAMPLE:])
    return ids


def _wait_until_decided(last: Sequence[str]) -> None:
    deadline = time.monotonic() + DECIDED_WITHIN
    while set(asyncio.run(readers.shown(last)).values()) - {"accepted", "rejected"}:
        if time.monotonic() > deadline:
            raise SystemExit(f"not decided within {DECIDED_WITHIN:g} s: see make lag")
        time.sleep(0.2)


def _sample(ids: Sequence[str]) -> list[str]:
    """Some of them, evenly spread."""
    return list(ids[:: max(1, len(ids) // SAMPLE)][:SAMPLE])


@contextmanager
def watched(sample: Sequence[str]) -> Iterator[ClientProbe]:
    """What a client sees, one line per second."""
    say("\n> What a client sees, measured each second (by id: some of those sent, from all over)")
    probe = ClientProbe(sample, say)
    probe.start()
    try:
        time.sleep(2)
        yield probe
    finally:
        probe.stop()


def throw_away() -> float:
    """Empty both stores; returns the moment when they were."""
    say("\n> Thrown away: TRUNCATE transactions.transactions; FLUSHALL")
    empty_table()
    with Redis.from_url(ports.setting("REDIS_URL", "redis://127.0.0.1:6379/0")) as redis:
        redis.flushall()
    return time.monotonic()


def empty_table() -> None:
    """Truncate; return when no node has a row."""
    cluster = Cluster(
        cassandra_hosts(), port=cassandra_port(), connection_class=LibevConnection, protocol_version=4
    )
    try:
        cluster.connect().execute("TRUNCATE transactions.transactions", timeout=TRUNCATE_WITHIN)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m reconciliation.recovery", description=__doc__)
    options.add_argument("--count", type=int, default=COUNT, help="transactions sent before")
    sys.exit(run(options.parse_args().count))

"""One exercise from its first line to its verdict: what it may use, what it promised, what was counted at the end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from exercises.faults import Faults
from exercises.load_client import LoadClient
from generator.traffic import Transaction
from infra.native.paths import ROOT
from reconciliation import readers, reconcile

SETTLED_WITHIN = 90.0
AGREE, DIFFER = 0, 1  # the exit status of verify
FAULTS_SHOWN = 5


def say(text: str = "") -> None:
    """A line of the transcript, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def faust(*arguments: str) -> tuple[int, str]:
    """`faust -A app.main …`, as a person runs it: its exit status and what it said."""
    say(f"  faust -A app.main {' '.join(arguments)}")
    done = _run(arguments, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def verified(ids: Collection[str]) -> list[str]:
    """What `faust -A app.main verify` finds wrong with these ids, a line each.

    It compares everything there is; what an earlier control has lost stays lost, and is not ours.
    """
    said, wanted = said_in_json("verify", agree=(AGREE, DIFFER)), frozenset(ids)
    counts = ", ".join(f"{name} {count}" for name, count in said["counts"].items())
    mine = [finding for finding in said["findings"] if finding["transaction_id"] in wanted]
    say(f"  faust -A app.main verify, of everything in the log: {counts}")
    say(f"  it finds {len(said['findings'])} wrong, {len(mine)} of them of this exercise")
    return [f"{one['problem']} in {one['where']}: {one['transaction_id']}" for one in mine]


def said_in_json(*arguments: str, agree: Collection[int] = (0,)) -> dict[str, Any]:
    """What a command says with --json; another exit status than these ends the exercise."""
    done = _run((*arguments, "--json"), stderr=subprocess.PIPE)
    if done.returncode not in agree:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _run(arguments: Sequence[str], stderr: int) -> subprocess.CompletedProcess[str]:
    command, out = [sys.executable, "-m", "faust", "-A", "app.main", *arguments], subprocess.PIPE
    return subprocess.run(command, cwd=ROOT, stdout=out, stderr=stderr, text=True, timeout=600, check=False)


@dataclass
class Context:
    """What an exercise is given."""

    control: bool  # with its protection switched off
    short: bool
    promises: list[tuple[str, bool, str]] = field(default_factory=list)
    faults: Faults = field(default_factory=lambda: Faults(say))

    def seconds(self, usual: float, short: float) -> float:
        """How long something lasts."""
        return short if self.short else usual

    def step(self, text: str) -> None:
        """A heading: what is done next."""
        say(f"\n> {text}")

    def watch(self, seconds: float) -> None:
        """Let the clients go on for so long."""
        time.sleep(seconds)

    def until(self, holds: Callable[[], object], within: float) -> bool:
        """Look five times per second until it holds; whether it did in time."""
        ends = self.now() + within
        while not (held := bool(holds())) and self.now() < ends:
            time.sleep(0.2)
        return held

    @staticmethod
    def now() -> float:
        """The moment, as calls are recorded."""
        return time.monotonic()

    @contextmanager
    def clients(self, rate: float = 20, bodies: Iterable[Transaction] | None = None) -> Iterator[LoadClient]:
        """Clients at work; the transcript gets one line per second. Single calls meanwhile are among their calls.

        They POST `bodies`, or the contract's traffic.
        """
        say(f"in a browser, while it happens: {readers.bff_url()}/")
        own = self.faults.recorded_calls
        with LoadClient(say, rate, bodies).at_work() as clients:
            self.faults.recorded_calls = clients
            try:
                yield clients
            finally:
                self.faults.recorded_calls = own

    def promise(self, text: str, held: bool, seen: str = "") -> None:
        """Something that must be so, whether it was, and what was seen."""
        self.promises.append((text, held, seen))

    def count(self, ids: Collection[str]) -> reconcile.Reconciliation:
        """Where each of the transactions that were answered 201 is; nothing lost, nothing twice is a promise."""
        ids = [*ids, *self.faults.recorded_calls.ids]  # single calls of a time without clients
        say(f"\n> Counting {len(ids)} transactions that were answered 201, by id, in every place")
        found = self._settled(ids, 15.0 if self.control else SETTLED_WITHIN)
        there = ", ".join(f"{place} {count}" for place, count in found.there.items())
        say(f"  answered 201: {found.sent}; {there}")
        say(f"  {dict(found.statuses)}; published again, the same: {found.published_again}")
        faults = found.faults()
        for fault in faults[:FAULTS_SHOWN]:
            say(f"  ! {fault}")
        self.promise(
            "every 201 is created, published, stored, listed and shown, once, with one verdict",
            not faults and found.sent > 0,
            f"{len(found.lost)} of {found.sent} missing somewhere, {len(found.flipped)} with two verdicts, "
            f"{found.created_again} twice, {found.statuses.get('pending', 0)} pending",
        )
        if not self.short:  # it reads all that was ever published, which takes longer than a short form
            self._promise_verified(ids)
        return found

    def _settled(self, ids: Collection[str], within: float) -> reconcile.Reconciliation:
        """A place that does not answer yet is asked again: parts have just come back."""
        ends = self.now() + max(within, 60)
        while True:
            try:
                return asyncio.run(reconcile.reconcile_until_settled(ids, within))
            except reconcile.UnreadableError as why_not:
                if self.now() > ends:
                    raise
                say(f"  {why_not}; counting again")
                time.sleep(1)

    def _promise_verified(self, ids: Collection[str]) -> None:
        wrong = verified(ids)
        for line in wrong[:FAULTS_SHOWN]:
            say(f"  ! {line}")
        self.promise("verify finds nothing wrong with them", not wrong, f"{len(wrong)} findings")

    def verdict(self, old: str) -> bool:
        """The old system's figure beside ours, each promise with its outcome; whether all were kept."""
        say("\n> Outcome")
        say(f"  the old system: {old}")
        for text, held, seen in self.promises:
            say(f"  {'kept  ' if held else 'BROKEN'}  {text}{f' ({seen})' if seen else ''}")
        return bool(self.promises) and all(held for _, held, _ in self.promises)

"""`python -m generator`: the contract's traffic, or simulated commerce; a POST every 3 seconds, for ever by default."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

from generator import logs, metrics
from generator.client import Answer, send
from generator.labels import Labels
from generator.traffic import Transaction, transactions

PROFILES = ("contract", "commerce")
EACH_UP_TO = 10  # transactions per second up to which each gets its own line

OnTaken = Callable[[Transaction, str], None]
log = logging.getLogger("generator")


class Report:
    """One line per transaction at a rate that people can read, one per second above it."""

    def __init__(self, rate: float) -> None:
        self.each = rate <= EACH_UP_TO
        self.acknowledged = self.failed = 0
        self._line = _new_second()

    def on_answer(self, answer: Answer) -> None:
        """Count an answer, and write the line that is due."""
        good = answer.status == 201
        self.acknowledged += good
        self.failed += not good
        took = answer.answered - answer.sent
        metrics.POST_SECONDS.labels(str(answer.status)).observe(took)
        if self.each and good:
            known = {"transaction_id": answer.transaction_id}
            log.info("201 %s in %.0f ms", answer.transaction_id, took * 1000, extra=known)
        elif not good and not answer.unserved:  # the client logs one line per outage instead
            log.error("refused: %s", answer.error)
        self._line["good" if good else "bad"] += 1
        self._line["slowest"] = max(self._line["slowest"], took)
        if not self.each and time.monotonic() - self._line["since"] >= 1:
            self.close_second()

    def close_second(self) -> None:
        """Write the line of this second, if any, and begin the next."""
        line, self._line = self._line, _new_second()
        if not self.each and line["good"]:
            bad = f", {line['bad']:.0f} failed" if line["bad"] else ""
            log.info("%.0f acknowledged%s, slowest %.0f ms", line["good"], bad, line["slowest"] * 1000)


def _new_second() -> dict[str, float]:
    return {"since": time.monotonic(), "good": 0, "bad": 0, "slowest": 0}


def positive_number(text: str) -> float:
    """An option that must be a number above zero."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


def positive_integer(text: str) -> int:
    """An option that must be a whole number, one or more."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def options(arguments: list[str]) -> argparse.Namespace:
    """The command line, with its defaults."""
    parser = argparse.ArgumentParser(prog="python -m generator", description=__doc__)
    parser.add_argument(
        "--rate", type=positive_number, default=1 / 3, help="transactions a second (default: 1/3)"
    )
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default=os.environ.get("GENERATOR_PROFILE") or PROFILES[0],
        help="the contract's random fields, or customers with habits and attackers (default: %(default)s)",
    )
    parser.add_argument(
        "--day",
        type=positive_number,
        default=3_600.0,
        help="commerce: seconds that a simulated day takes; how many customers there are follows (%(default)s)",
    )
    parser.add_argument("--count", type=positive_integer, help="stop after so many (default: never)")
    parser.add_argument(
        "--concurrency", type=positive_integer, default=64, help="POSTs at a time at most (%(default)s)"
    )
    parser.add_argument("--seed", type=int, help="the same transactions again for the same seed")
    parser.add_argument(
        "--url", default=os.environ.get("BFF_URL", "http://127.0.0.1:5001"), help="%(default)s"
    )
    parser.add_argument(
        "--timeout", type=positive_number, default=5.0, help="seconds to wait for an answer (%(default)s)"
    )
    parser.add_argument(
        "--metrics-port",
        type=positive_integer,
        default=os.environ.get("GENERATOR_METRICS_PORT") or None,
        help="serve metrics for Prometheus (default: do not)",
    )
    chosen = parser.parse_args(arguments)
    if chosen.profile not in PROFILES:  # argparse looks at no default
        parser.error(f"GENERATOR_PROFILE: {chosen.profile!r} is none of {', '.join(PROFILES)}")
    return chosen


def traffic(chosen: argparse.Namespace, labels: Labels) -> tuple[Iterator[Transaction], OnTaken | None]:
    """What is sent, and what is done with each that is taken: frauds are labelled later."""
    if chosen.profile == "contract":
        return transactions(chosen.count, chosen.seed), None
    try:
        from generator import commerce
    except ModuleNotFoundError as missing:
        raise SystemExit(
            f"generator: --profile commerce needs {missing.name}, which is not installed"
        ) from None
    scale = commerce.Scale.of(chosen.rate, chosen.day)

    def on_taken(body: Transaction, transaction_id: str) -> None:
        if isinstance(body, commerce.Purchase) and body.reported_after is not None:
            labels.fraud(transaction_id, scale.real(body.reported_after))

    return commerce.purchases(scale, chosen.count, chosen.seed), on_taken


async def run(chosen: argparse.Namespace) -> int:
    """Send until the count is reached or SIGTERM comes; 1 if any transaction was not acknowledged."""
    report, labels = Report(chosen.rate), Labels(chosen.url, chosen.timeout)
    bodies, on_taken = traffic(chosen, labels)
    labelling = asyncio.create_task(labels.run())
    sending = asyncio.create_task(
        send(
            bodies,
            report.on_answer,
            url=chosen.url,
            rate=chosen.rate,
            concurrency=chosen.concurrency,
            timeout=chosen.timeout,
            on_taken=on_taken,
        )
    )

    def stop() -> None:
        sending.cancel()
        labelling.cancel()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    log.info("to %s, %.4g a second", chosen.url, chosen.rate)
    await asyncio.wait([sending])
    labels.close()
    await asyncio.wait([labelling])
    report.close_second()
    stopped = sending.cancelled() or labelling.cancelled()
    said = f", {labels.sent} labelled" * (on_taken is not None) + "; stopped" * stopped
    log.info("%d acknowledged, %d failed%s", report.acknowledged, report.failed, said)
    if stopped:
        return 0
    for task in (sending, labelling):
        task.result()  # raises what ended it
    return 1 if report.failed or labels.given_up else 0


def main() -> int:
    """The process `generator` of the stack."""
    chosen = options(sys.argv[1:])
    logs.configure("generator", os.environ)
    if chosen.metrics_port:
        metrics.serve(chosen.metrics_port)
    return asyncio.run(run(chosen))


if __name__ == "__main__":
    sys.exit(main())

"""Every call of /openapi.json, with valid and invalid data and one after the other, is answered as described there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reconciliation.readers import bff_url
from tests.support import http

CONFIG = Path(__file__).parents[1] / "support" / "schemathesis.toml"
#: These have tests of their own: each call of the stream of events would last until the time-out, one that sends dead
#: letters back takes 10 s and would send back what other tests have made.
LEFT_OUT = ("streamTransactionEvents", "sendDeadLetterBack")
ANSWERS = re.compile(r'^payments_http_request_seconds_count\{.*status="(\d+)".*\} (\S+)$', re.MULTILINE)


def test_a_few_hundred_calls_are_answered_as_described() -> None:
    fuzzed(examples=5)


@pytest.mark.long
def test_thousands_of_calls_are_answered_as_described() -> None:
    fuzzed(examples=300)


def fuzzed(examples: int) -> None:
    """Schemathesis finds nothing, with all its checks, in so many calls of each operation."""
    answers, unavailable = counted()
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(CONFIG),
        "run",
        "--checks",
        "all",
    ]
    command += ["--max-examples", str(examples), "--warnings", "off"]
    for operation in LEFT_OUT:
        command += ["--exclude-operation-id", operation]
    command.append(f"{bff_url()}/openapi.json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    answers_then, unavailable_then = counted()
    assert answers_then - answers > 200
    assert unavailable_then - unavailable <= 3 + (answers_then - answers) / 100


def counted() -> tuple[float, float]:
    """How many answers the bff has given, and how many of them were a 503."""
    found = ANSWERS.findall(http.call("GET", "/metrics").body.decode())
    return sum(float(count) for _, count in found), sum(
        float(count) for status, count in found if status == "503"
    )

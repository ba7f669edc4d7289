"""A typing mistake is answered in one line that names what is allowed, with exit status 2."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("typed", "allowed"),
    [
        ("infra.native scale redis 2", "which part? say NAME=bff or NAME=transactions"),
        ("infra.native scale transactions 0", "how many of them? say N=1 or more"),
        ("infra.native scale transactions many", "how many of them? say N=1 or more"),
        ("infra.native scale transactions -1", "how many of them? say N=1 or more"),
        ("infra.native scale transactions 1.5", "how many of them? say N=1 or more"),
        ("infra.native up --mode three", "no mode is called three; say MODE=split or MODE=combined"),
        ("reconciliation.demo --mode three", "no mode is called three; say MODE=split or MODE=combined"),
        ("infra.native kill radis", "no part is called radis; the parts are: kafka registry"),
        ("infra.native cqlsh redis", "the parts are: cassandra-1 cassandra-2 cassandra-3"),
        ("exercises 99", "no exercise is called 99; say N=1 … N="),
        ("exercises one", "no exercise is called one; say N=1 … N="),
        ("exercises.soak --seed x", "argument --seed: invalid int value: 'x'"),
    ],
)
def test_a_typing_mistake_is_answered_with_what_is_allowed_in_one_line(typed: str, allowed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *typed.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert allowed in done.stderr
    assert done.stderr.count("\n") == 1
    assert "usage" not in done.stderr
    assert done.returncode == 2

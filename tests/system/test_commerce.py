"""Simulated commerce on the stack: every purchase is taken, and every fraud has its label in GET some days later."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from infra.native.paths import ROOT
from tests.support import http, log

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("whole_again")]

#: 600 purchases of a hundred customers in simulated days of 2.8 s; ten of them are fraud.
COMMAND = "-m generator --profile commerce --rate 50 --day 1 --count 600 --seed 8"


def test_purchases_are_taken_and_the_frauds_among_them_are_labelled() -> None:
    done = subprocess.run(
        [sys.executable, *COMMAND.split()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    labelled = re.findall(r"labelled (\S+): fraud", done.stdout)
    assert len(labelled) == 10
    assert done.stdout.splitlines()[-1].endswith("600 acknowledged, 0 failed, 10 labelled")
    log.wait_until(lambda: log.lag("transactions") == 0, 60, "all are decided")
    for transaction_id in labelled:
        assert (http.shown(transaction_id) or {}).get("label") == "fraud"

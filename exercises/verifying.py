"""The one place that asks `faust -A app.main verify` what it says of an exercise's transactions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Collection

from infra.native.paths import ROOT

NO_SUCH = "No such command"
AGREE, DIFFER = 0, 1


def verified(ids: Collection[str], say: Callable[[str], None]) -> list[str] | None:
    """What it finds wrong with these ids, a line each; None where there is no such command.

    It compares everything there is; what an earlier control has lost stays lost, and is not ours.
    """
    command = [sys.executable, "-m", "faust", "-A", "app.main", "verify", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    if NO_SUCH in done.stderr:
        return None
    if done.returncode not in (AGREE, DIFFER):
        raise SystemExit(f"verify could not compare: {done.stderr.strip()[-500:]}")
    said, wanted = json.loads(done.stdout), frozenset(ids)
    counts = ", ".join(f"{name} {count}" for name, count in said["counts"].items())
    findings = said["findings"]
    mine = [finding for finding in findings if finding["transaction_id"] in wanted]
    say(f"  faust -A app.main verify, of everything in the log: {counts}")
    say(f"  it finds {len(findings)} wrong, {len(mine)} of them of this exercise")
    return [f"{one['problem']} in {one['where']}: {one['transaction_id']}" for one in mine]

"""`make audit`: security advisories for the locked packages, and licences of what the images contain.

Asks the package index; not part of make test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra import licences

LOCK = Path(__file__).parent.parent / "requirements.lock"


def main() -> None:
    """Ask, print, exit 1 for an advisory and 2 when not every package could be asked about."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--requirement", str(LOCK)]
    done = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    judged = [verdict(done.stdout, done.stderr), licences.verdict(licences.shipped())]
    print("\n".join(text for _, text in judged))
    sys.exit(max(code for code, _ in judged))


def verdict(answer: str, errors: str) -> tuple[int, str]:
    """The exit code and what to print about pip-audit's answer. A skipped package does not count as safe."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        last = (errors.strip().splitlines() or ["no reason given"])[-1]
        return 2, f"No audit: the advisory service could not be reached: {last[:200]}"
    found = [
        f"{one['name']} {one['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for one in packages
        for flaw in one.get("vulns", [])
    ]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    if skipped:
        found.append(
            f"No whole audit: the advisory service knew nothing of {len(skipped)} of {len(packages)} packages"
        )
    if not found:
        return 0, f"No advisory about any of {len(packages)} packages"
    return 2 if skipped else 1, "\n".join(found)


if __name__ == "__main__":
    main()

"""An exercise that breaks nothing and says what its page in docs shows."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "exercises"


def main(number: str, seconds: float, control: bool) -> int:
    """Its lines within so many seconds, and its exit status."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (DOCS / f"{number}.md").read_text(), re.M | re.S)
    seen, *others = [text for kind, text in blocks if not kind]
    lines = seen.splitlines()
    if control:
        lines = [
            *lines[:-12],
            *others[0].splitlines(),
            "",
            f"Exercise {number}: BROKEN, as a control must be",
        ]
    try:
        for line in lines:
            print(line, flush=True)  # noqa: T201
            time.sleep(seconds / len(lines))
    except KeyboardInterrupt:
        print("\n> Restoring", flush=True)  # noqa: T201
        time.sleep(0.5)
        return 130
    return int(control)


if __name__ == "__main__":
    from infra.native import interrupts

    with interrupts.alike():
        sys.exit(main(sys.argv[1], float(sys.argv[2]), "--control" in sys.argv))

"""What somebody has typed wrongly is told in one line that names what is allowed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn


class WrongWord(SystemExit):
    """A name, a number or an option that there is not; the text says which there are."""


class Parser(argparse.ArgumentParser):
    """Without the usage: who types `make scale` has never seen these options."""

    def error(self, message: str) -> NoReturn:
        """What argparse has found."""
        raise WrongWord(message)


def run(main: Callable[[], int | None]) -> NoReturn:
    """A command's last word: 2 for a wrong one, as is usual."""
    try:
        sys.exit(main())
    except WrongWord as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(2)

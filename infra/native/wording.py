"""A wrong word on the command line is answered in one line that names what is allowed."""

from __future__ import annotations

import argparse
import os
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
    """A command's last word: 2 for a wrong one, as is usual; no traceback when its reader or user has had enough."""
    try:
        code = main()
        sys.stdout.flush()
        sys.exit(code)
    except WrongWord as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # make ps | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit("interrupted; what has been started goes on: make ps, make down")

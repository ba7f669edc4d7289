"""A wrong word on the command line is reported in one line that names what is allowed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn


class WrongWord(SystemExit):
    """A name, number or option that does not exist; the text names those that do."""


class Parser(argparse.ArgumentParser):
    """Without the usage: whoever types `make scale` has never seen these options."""

    def error(self, message: str) -> NoReturn:
        """Report what argparse has found."""
        raise WrongWord(message)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a command and exit: 2 for a wrong word; no traceback for a closed pipe or Ctrl-C."""
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

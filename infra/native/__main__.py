"""The stack's commands: `python -m infra.native COMMAND`, which the Makefile calls."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from infra.native import procfile, showing, stack, wording
from infra.native.folders import ASIDE, DATA

BY_NAME = {
    "stop": stack.stop,
    "start": stack.start,
    "restart": stack.restart,
    "kill": stack.kill,
    "pause": stack.pause,
    "resume": stack.resume,
}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = wording.Parser(prog="python -m infra.native", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up, demo = commands.add_parser("up"), commands.add_parser("demo")
    up.add_argument("--only", default="", help="parts to start, comma separated")
    for command in (up, demo):
        command.add_argument("--form", type=procfile.check_form, default="", help="two workers, or one")
    for name in ("down", "ps", "clean"):
        commands.add_parser(name)
    for name in BY_NAME:
        commands.add_parser(name).add_argument("name", nargs="?", default="")
    scale = commands.add_parser("scale")
    scale.add_argument("name", nargs="?", default="")
    scale.add_argument("count", nargs="?", default="")
    logs = commands.add_parser("logs")
    logs.add_argument("name", nargs="?", default="")
    logs.add_argument("--follow", action="store_true")
    cqlsh = commands.add_parser("cqlsh")
    cqlsh.add_argument("name", nargs="?", default="")
    cqlsh.add_argument("--execute", default="", help="a CQL statement; without it, a prompt")
    return parser.parse_args(argv)


def up(only: str, form: str) -> None:
    """What runs already stays; says so when the data are not the user's."""
    if ASIDE.exists():
        print(
            f"these are the data of a benchmark, which throws them away; yours come back when it ends. If none runs: "
            f"make down; rm -r {DATA}; mv {ASIDE} {DATA}"
        )
    stack.up(only.replace(",", " ").split(), form or None)


def demo(form: str) -> NoReturn:
    """The demo; imported here, since ps and kill need none of what it brings."""
    from infra.native.demo import run as run_demo

    sys.exit(run_demo(form))


def scale(name: str, count: str) -> None:
    """The workers of the one part that can be several."""
    if name != procfile.SCALABLE:
        raise wording.WrongWord(f"only one part can be several: say NAME={procfile.SCALABLE}")
    if not count.isdecimal() or int(count) < 1:
        raise wording.WrongWord("how many workers? say N=1 or more")
    stack.scale(int(count))


def run(given: argparse.Namespace) -> None:
    """Do what the command line says."""
    commands: dict[str, Callable[[], object]] = {
        "up": lambda: up(given.only, given.form),
        "demo": lambda: demo(given.form),
        "down": stack.down,
        "clean": stack.clean,
        "ps": showing.ps,
        "scale": lambda: scale(given.name, given.count),
        "logs": lambda: showing.logs(given.name, given.follow),
        "cqlsh": lambda: showing.cqlsh(given.name, given.execute),
    }
    one = BY_NAME.get(given.command)
    (commands[given.command] if one is None else lambda: one(given.name))()


def main() -> None:
    """What was asked for, said to its end."""
    run(arguments())
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        wording.run(main)
    except BrokenPipeError:  # whoever reads has seen enough: make ps | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit("interrupted; what has been started goes on: make ps, make down")

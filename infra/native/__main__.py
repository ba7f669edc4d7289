"""The stack's commands: `python -m infra.native COMMAND`, which the Makefile calls."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from infra.native import procfile, stack, status, wording
from infra.native.paths import ASIDE, DATA

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
    up = commands.add_parser("up")
    up.add_argument("--only", default="", help="parts to start, comma separated")
    up.add_argument("--mode", type=procfile.check_mode, default="", help="two workers, or one")
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


def up(only: str, mode: str) -> None:
    """What runs already stays; says so when the data are not the user's."""
    if ASIDE.exists():
        print(
            f"these are the data of a benchmark, which throws them away; yours come back when it ends. If none runs: "
            f"make down; rm -r {DATA}; mv {ASIDE} {DATA}"
        )
    stack.up(only.replace(",", " ").split(), mode or None)


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
        "up": lambda: up(given.only, given.mode),
        "down": stack.down,
        "clean": stack.clean,
        "ps": status.ps,
        "scale": lambda: scale(given.name, given.count),
        "logs": lambda: status.logs(given.name, given.follow),
        "cqlsh": lambda: status.cqlsh(given.name, given.execute),
    }
    one = BY_NAME.get(given.command)
    (commands[given.command] if one is None else lambda: one(given.name))()


if __name__ == "__main__":
    wording.run(lambda: run(arguments()))

"""The stack's commands: `python -m infra.native COMMAND`, which the Makefile calls."""

from __future__ import annotations

import argparse
import sys

from infra.native import procfile, showing, stack

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
    parser = argparse.ArgumentParser(prog="python -m infra.native", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up")
    up.add_argument("--only", default="", help="parts to start, comma separated")
    up.add_argument("--form", choices=("", *procfile.FORMS), default="", help="two workers, or one process")
    for command in ("down", "ps", "clean"):
        commands.add_parser(command)
    for command in BY_NAME:
        commands.add_parser(command).add_argument("name", nargs="?", default="")
    scale = commands.add_parser("scale")
    scale.add_argument("name", nargs="?", default="")
    scale.add_argument("count", nargs="?", type=int, default=0)
    logs = commands.add_parser("logs")
    logs.add_argument("name", nargs="?", default="")
    logs.add_argument("--follow", action="store_true")
    cqlsh = commands.add_parser("cqlsh")
    cqlsh.add_argument("name", nargs="?", default="")
    cqlsh.add_argument("--execute", default="", help="a CQL statement; without it, a prompt")
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> None:
    """Do what the command line says."""
    match given.command:
        case "up":
            stack.up(given.only.replace(",", " ").split(), given.form or None)
        case "down":
            stack.down()
        case "clean":
            stack.clean()
        case "scale":
            procfile.check(given.name, [procfile.SCALABLE])
            stack.scale(given.count)
        case "ps":
            showing.ps()
        case "logs":
            showing.logs(given.name, given.follow)
        case "cqlsh":
            showing.cqlsh(given.name, given.execute)
        case by_name:
            BY_NAME[by_name](given.name)


if __name__ == "__main__":
    try:
        run(arguments())
    except KeyboardInterrupt:
        sys.exit("interrupted; what has been started goes on: make ps, make down")

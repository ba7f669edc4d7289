"""The stack's commands: `python -m infra.native COMMAND`, which the Makefile calls."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from infra.native import backup, beside, brokers, procfile, stack, wording
from infra.native.paths import ASIDE, DATA


def up(given: Namespace) -> None:
    """What runs already stays; says so when the data are not the user's."""
    if ASIDE.exists():
        print(
            f"these are the data of a benchmark, which throws them away; yours come back when it ends. If none runs: "
            f"make down; rm -r {DATA}; mv {ASIDE} {DATA}"
        )
    only, extra = given.only.replace(",", " ").split(), beside.chosen(given.beside)
    stack.up(only, given.mode or None, extra, brokers.checked(given.kafka), given.secure)


def scale(given: Namespace) -> None:
    """How many there are of a part that can be several."""
    if given.name not in procfile.SCALABLE:
        raise wording.WrongWord(f"which part? say NAME={' or NAME='.join(procfile.SCALABLE)}")
    if not given.count.isdecimal() or int(given.count) < 1:
        raise wording.WrongWord("how many of them? say N=1 or more")
    stack.scale(given.name, int(given.count))


COMMANDS: dict[str, Callable[[Namespace], None]] = {
    "up": up,
    "down": lambda _: stack.down(),
    "clean": lambda _: stack.clean(),
    "ps": lambda _: stack.ps(),
    "stop": lambda given: stack.stop(given.name),
    "start": lambda given: stack.start(given.name),
    "restart": lambda given: stack.restart(given.name),
    "kill": lambda given: stack.kill(given.name),
    "pause": lambda given: stack.pause(given.name),
    "resume": lambda given: stack.resume(given.name),
    "scale": scale,
    "logs": lambda given: stack.logs(given.name, given.follow),
    "backup": lambda given: backup.backup(given.name),
    "restore": lambda given: backup.restore(given.name),
    "cqlsh": lambda given: stack.cqlsh(given.name, given.execute),
}


def arguments(argv: list[str] | None = None) -> Namespace:
    """What the command line says."""
    parser = wording.Parser(prog="python -m infra.native", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("name", nargs="?", default="", help="of a part; backup, restore: a folder")
    parser.add_argument("count", nargs="?", default="", help="scale: how many of it")
    parser.add_argument("--only", default="", help="up: parts to start, comma separated")
    parser.add_argument("--with", dest="beside", default="", help="up: what is to run beside the stack")
    parser.add_argument("--kafka", default="", help="up: how many brokers, for new data: 1 or 3")
    parser.add_argument(
        "--secure", action="store_true", help="up: passwords and TLS between the parts, for new data"
    )
    parser.add_argument("--mode", type=procfile.check_mode, default="", help="up: two workers, or one")
    parser.add_argument("--follow", action="store_true", help="logs: and what is added to it")
    parser.add_argument("--execute", default="", help="cqlsh: a CQL statement; without it, a prompt")
    return parser.parse_intermixed_args(argv)


def run() -> None:
    """Do what the command line says."""
    given = arguments()
    COMMANDS[given.command](given)


if __name__ == "__main__":
    wording.run(run)

"""`python -m exercises N`: one of them, on the running stack (started and ended here if none is up); 0 if it kept
its promises. Without N: all, one after the other, and a table."""

from __future__ import annotations

import sys
import traceback
from textwrap import indent

from exercises import (
    asynchrony,
    avro_or_json,
    cassandra_nodes,
    drift,
    failing_sends,
    history,
    new_fraud,
    partitions,
    protobuf_or_avro,
    proxy,
    redis_cases,
    replicas,
    worker,
)
from exercises.context import Context, say
from infra.native import stack
from infra.native.wording import Parser, WrongWord, run
from reconciliation import demo

EXERCISES = {
    1: cassandra_nodes,
    2: redis_cases,
    3: worker,
    4: avro_or_json,
    5: asynchrony,
    6: replicas,
    7: proxy,
    8: failing_sends,
    9: protobuf_or_avro,
    10: new_fraud,
    11: history,
    12: drift,
    13: partitions,
}


def perform(number: int, *, control: bool, short: bool) -> bool:
    """One exercise, and the system as it was before, whatever happens; whether every promise was kept."""
    exercise, context = EXERCISES[number], Context(control, short)
    say(f"Exercise {number}. {indent(str(exercise.__doc__).strip(), '  ').strip()}")
    if control:
        say(f"\nCONTROL, it must fail: {exercise.CONTROL}")
    try:
        exercise.run(context)
    except (Exception, SystemExit) as failure:  # noqa: BLE001  # the other exercises are run all the same
        traceback.print_exception(failure, limit=-3, file=sys.stdout)
        context.promise(
            "it runs to its end", False, str(failure).partition("\n")[0] or type(failure).__name__
        )
    finally:
        context.faults.restore()
    kept = context.verdict(exercise.OLD)
    broken = sum(not held for _, held, _ in context.promises)
    as_it_must = ", as a control must be" if control else ""
    said = (
        "every promise kept" if kept else f"BROKEN{as_it_must}: {broken} of {len(context.promises)} promises"
    )
    say(f"\nExercise {number}: {said}")
    return kept


def _number(text: str) -> int:
    if text not in map(str, EXERCISES):
        raise WrongWord(f"no exercise is called {text}; say N=1 … N={max(EXERCISES)}")
    return int(text)


def main() -> int:
    """What the command line says."""
    parser = Parser(prog="python -m exercises", description=__doc__)
    parser.add_argument("number", type=_number, nargs="?", help=f"1 to {max(EXERCISES)}; all if left out")
    parser.add_argument("--control", action="store_true", help="with its protection off: it must fail")
    parser.add_argument("--short", action="store_true", help="in seconds, for the tests")
    given = parser.parse_args()
    numbers = [given.number] if given.number else [*EXERCISES]
    outcomes = {}
    with demo.undisturbed():
        if stack.current_mode() != "split":
            raise SystemExit("the exercises need split mode: make down, then try again")
        for number in numbers:
            outcomes[number] = perform(number, control=given.control, short=given.short)
            say()
    if len(numbers) > 1:
        for number, kept in outcomes.items():
            say(f"  exercise {number}   {'kept' if kept else 'BROKEN'}")
    return 0 if all(outcomes.values()) else 1


if __name__ == "__main__":
    run(main)

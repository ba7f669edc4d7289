"""Which stage of the worker a stack of a profile belongs to."""

from collections.abc import Mapping

from benchmarks.cpu import Threads

#: Frames, the outermost first, each as `function (file)`.
Stack = tuple[str, ...]
Stacks = Mapping[Stack, int]

STAGES = ("decode", "assess", "tell", "store", "framework")

#: What a frame of each stage begins with, as `file:function`. The innermost frame that is named here decides: what the
#: event loop or a future does within a step is the step's. All else is the framework's: Faust, its consumer, asyncio,
#: delivery, health and metrics.
OWNERS = {
    "decode": ("app/codec.py:decode", "app/codec.py:_decode", "app/codec.py:_read", "app/codec.py:_schema_id",
               "app/doors.py:decode"),
    "assess": ("app/clients/antifraud.py", "app/asking.py", "app/twins.py", "app/pipeline.py:decide",
               "app/pipeline.py:_file", "grpc/", "google/"),
    "tell": ("app/codec.py:encode", "app/clients/teller.py", "app/clients/kafka.py", "aiokafka/producer/",
             "app/pipeline.py:tell", "app/pipeline.py:_tell"),
    "store": ("app/clients/transactions_table.py", "app/clients/cassandra.py", "cassandra/", "app/pipeline.py:store"),
}  # fmt: skip


def stage_of(stack: Stack) -> str:
    """One of STAGES."""
    for frame in reversed(stack):
        function, _, file = frame.rstrip(")").partition(" (")
        place = f"{file}:{function.rpartition('.')[2]}"  # without its class
        for stage, starts in OWNERS.items():
            if place.startswith(starts):
                return stage
    return "framework"


def microseconds(stacks: Stacks, threads: Threads) -> dict[str, float]:
    """What each stage has of the CPU time of `threads`, in its unit; together they are all of it.

    A stage's part is taken within the main thread and within the others: how long a thread ran is known from the
    system, and the samples only say what it did.
    """
    found = dict.fromkeys(STAGES, 0.0) | {"assess": threads.native}  # gRPC's
    for is_main, spent in ((True, threads.main), (False, threads.others)):
        mine = {stack: count for stack, count in stacks.items() if _is_main(stack) is is_main}
        for stack, count in mine.items():
            found[stage_of(stack)] += spent * count / sum(mine.values())
    return found


def _is_main(stack: Stack) -> bool:
    return not stack[0].startswith(("Thread._bootstrap ", "_bootstrap "))

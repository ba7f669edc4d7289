"""Which part of a process's work a stack of its profile belongs to."""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.cpu import Threads

#: Frames, the outermost first, each as `function (file)`.
Stack = tuple[str, ...]
Stacks = Mapping[Stack, int]


class Parts(NamedTuple):
    """The parts of a process, each with what its frames begin with, as `file:function`; `rest` owns all else.

    The innermost frame that is named decides: what the event loop or a future does within a step is the step's.
    """

    owners: Mapping[str, tuple[str, ...]]
    rest: str

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of a transaction, the rest last."""
        return (*self.owners, self.rest)

    def of(self, stack: Stack) -> str:
        """One of the names."""
        for frame in reversed(stack):
            for part, starts in self.owners.items():
                if _place(frame).startswith(starts):
                    return part
        return self.rest


def _place(frame: str) -> str:
    """`file:function`, the function without its class."""
    function, _, file = frame.rstrip(")").partition(" (")
    return f"{file}:{function.rpartition('.')[2]}"


#: The transactions worker by stage; the rest is Faust, its consumer, asyncio, delivery, health and metrics.
STAGES = Parts(
    {
        "decode": (
            "app/messaging/codec.py:decode",
            "app/messaging/codec.py:_decode",
            "app/messaging/codec.py:_read",
            "app/messaging/codec.py:schema_id_of",
            "app/processing/adapters.py:decode",
        ),
        "assess": (
            "app/assessment/client.py",
            "app/assessment/fallback.py",
            "app/processing/deduplication.py",
            "app/processing/pipeline.py:decide",
            "app/processing/pipeline.py:_file",
            "grpc/",
            "google/",
        ),
        "publish": (
            "app/messaging/codec.py:encode",
            "app/messaging/fenced_producer.py",
            "app/messaging/status_log.py",
            "app/messaging/producer.py",
            "aiokafka/producer/",
            "app/processing/pipeline.py:publish",
            "app/processing/pipeline.py:_publish",
        ),
        "store": (
            "app/stores/transactions_table.py",
            "app/stores/cassandra.py",
            "cassandra/",
            "app/processing/pipeline.py:store",
        ),
    },
    "framework",
)

#: The bff while transactions are POSTed; the rest is asyncio, Faust's consumer and what runs in the background.
OF_A_POST = Parts(
    {
        "body": ("app/web/validation.py", "app/models/transaction.py", "pydantic/"),
        "Kafka": (
            "app/messaging/codec.py:encode",
            "app/messaging/producer.py",
            "app/messaging/record_accumulator.py",
            "aiokafka/producer/",
            "aiokafka/conn.py",
            "aiokafka/client.py",
            "aiokafka/partitioner.py",
        ),
        "Redis": (
            "app/read_model/pending_writer.py",
            "app/stores/recent_transactions.py",
            "app/models/status.py",
            "redis/",
        ),
        "HTTP": ("aiohttp/", "faust/web/", "app/web/", "multidict/", "yarl/"),
    },
    "loop and the rest",
)


#: Whatever these call is done for traces, and what is done in the others themselves: around a request, around a step.
OF_TRACES = ("opentelemetry/", "app/observability/tracing.py:")
AROUND_OTHERS = ("app/processing/traced.py:", "app/web/traces.py:")


def share_of_traces(stacks: Stacks) -> float:
    """What the traces have of the samples."""
    found = sum(
        count
        for stack, count in stacks.items()
        if any(_place(frame).startswith(OF_TRACES) for frame in stack)
        or _place(stack[-1]).startswith(AROUND_OTHERS)
    )
    return found / sum(stacks.values())


def shares(stacks: Stacks, parts: Parts) -> dict[str, float]:
    """What each part has of the samples; together they are 1."""
    found, total = dict.fromkeys(parts.names, 0.0), sum(stacks.values())
    for stack, count in stacks.items():
        found[parts.of(stack)] += count / total
    return found


def microseconds(stacks: Stacks, threads: Threads) -> dict[str, float]:
    """What each of STAGES has of the CPU time of `threads`, in its unit; together they are all of it.

    A stage's part is taken within the main thread and within the others: how long a thread ran is known from the
    system, and the samples only say what it did.
    """
    found = dict.fromkeys(STAGES.names, 0.0) | {"assess": threads.native}  # gRPC's
    for is_main, spent in ((True, threads.main), (False, threads.others)):
        mine = {stack: count for stack, count in stacks.items() if _is_main(stack) is is_main}
        for stage, share in shares(mine, STAGES).items():
            found[stage] += spent * share
    return found


def _is_main(stack: Stack) -> bool:
    return not stack[0].startswith(("Thread._bootstrap ", "_bootstrap "))

"""Who may import whom. A room that is not in the table, or an import that the table does not give, fails.

The table says what is true of each room now; to widen a right, change it here, with a reason.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("app", "antifraud", "generator", "infra", "benchmarks", "exercises", "schemas", "tests")

#: Each room (the longest name that fits a module counts) and what of ours it may import; a name includes what is in it.
RIGHTS: dict[str, set[str]] = {
    # values and words
    "app.models": {"app.models"},
    "app.errors": set(),
    "app.health": {"app.errors"},
    "app.settings": set(),
    # what happens to a transaction, and how it survives: no Faust, no sockets
    "app.codec": {"app.errors", "app.foreign_schema"},
    "app.foreign_schema": {"app.errors"},
    "app.narration": {"app.models"},
    "app.metrics": set(),
    "app.delivery": {"app.errors", "app.metrics"},
    "app.deduplication": {"app.models"},
    "app.asking": {"app.models", "app.errors", "app.narration"},
    "app.pipeline": {
        "app.models", "app.errors", "app.metrics", "app.asking", "app.dead_letter_limit", "app.deduplication",
        "app.delivery", "app.narration",
    },
    # doors out
    "app.clients": {"app.models", "app.errors", "app.health", "app.metrics", "app.settings"},
    "app.clients.antifraud": {"app.models", "app.errors", "app.settings", "schemas.proto"},
    "app.clients.transactions_table": {"app.models", "app.errors", "app.settings", "app.clients.cassandra"},
    "app.clients.everything": {
        "app.errors", "app.clients.cassandra", "app.clients.redis", "app.clients.transactions_table",
    },
    "app.clients.idempotency_table": {"app.errors", "app.clients.cassandra"},
    "app.clients.kafka": {
        "app.errors", "app.metrics", "app.settings", "app.clients.outbox", "app.clients.partitioner",
    },
    "app.clients.partitioner": set(),
    "app.clients.outbox": set(),
    "app.clients.raw_batch": set(),
    "app.clients.fetching": {"app.clients.raw_batch"},
    "app.clients.tail": {"app.clients.fetching", "app.clients.raw_batch", "app.errors", "app.settings"},
    "app.clients.teller": {
        "app.errors", "app.settings", "app.clients.committed", "app.clients.kafka", "app.clients.tail",
    },
    "app.topics": {"app.codec", "app.errors", "app.settings"},
    "app.groups": {"app.topics", "app.errors", "app.settings"},
    "app.library_logs": set(),
    "app.watch": {"app.health", "app.library_logs", "app.resources"},
    "app.watchdog": {"app.delivery"},
    "app.read_model": {"app.clients", "app.models", "app.errors", "app.metrics"},
    "app.resources": {"app.clients", "app.topics", "app.codec", "app.errors", "app.health", "app.settings"},
    "app.doors": {
        "app.clients.partitioner", "app.dead_letters", "app.deduplication", "app.topics", "app.resources",
        "app.pipeline", "app.models", "app.errors",
    },
    "app.dead_letters": set(),
    "app.dead_letter_limit": {"app.delivery", "app.errors", "app.metrics"},
    "app.holds": {"app.clients.fetching", "app.dead_letters"},
    "app.passed_over": {"app.clients.tail", "app.dead_letters", "app.errors", "app.holds", "app.topics"},
    "app.open_transactions": set(),
    "app.unfinished": {"app.groups", "app.topics", "app.resources", "app.models", "app.errors"},
    # Faust, and doors in
    "app.consumer": {"app.clients.fetching", "app.holds"},
    "app.sending": {"app.consumer", "app.topics", "app.errors", "app.models", "app.settings"},
    "app.agents": set(),
    "app.agents.statuses": {
        "app.clients.redis", "app.consumer", "app.delivery", "app.errors", "app.metrics", "app.resources", "app.topics",
    },
    "app.agents.transactions": {
        "app.dead_letter_limit",
        "app.delivery", "app.doors", "app.narration", "app.pipeline", "app.resources", "app.sending", "app.topics",
    },
    "app.web": {
        "app.web", "app.read_model", "app.topics", "app.resources", "app.narration", "app.models", "app.errors",
        "app.health",
    },
    "app.web.idempotency": {"app.clients.idempotency_table", "app.models", "app.errors", "app.web"},
    "app.web.metrics": {"app.metrics", "app.web.problems"},
    "app.web.server": {"app.settings", "app.web.problems", "app.web.request_id"},
    "app.web.pending": {"app.clients.redis", "app.models", "app.errors"},
    # a re-assessment and a replay are the worker's own work, done once more: the same doors, the same values
    "app.commands": {
        "app.commands", "app.clients", "app.groups", "app.codec", "app.dead_letters", "app.holds", "app.models",
        "app.topics", "app.errors", "app.settings",
    },
    # the map, and the forms: only they see all
    "app.factory": {"app"},
    "app.bff": {"app.factory"},
    "app.transactions": {"app.factory"},
    "app.main": {"app.factory"},
    "app": set(),
    # other processes
    "antifraud": {"antifraud", "schemas.proto"},
    "generator": {"generator"},
    "infra": {"infra", "generator"},
    "benchmarks": {"benchmarks", "generator", "infra", "schemas"},
    # the same work in other frames: they call the app's doors, so that only the frame differs
    "benchmarks.peers": {"app", "benchmarks.peers", "schemas.proto"},
    # a control is a worker of ours with one function replaced; the synchronous server uses the app's doors
    "exercises": {"exercises", "generator", "infra", "schemas"},
    "exercises.side_by_side": {"exercises", "generator", "infra", "benchmarks.cpu"},  # who used the cores
    "exercises.controls": {"app", "infra"},
    "exercises.synchronous": {"app.clients", "app.models", "app.settings", "app.errors"},
    "schemas": {"schemas"},
    "tests.system": {"tests.system", "tests.support", "exercises.relay", "generator", "infra", "schemas"},
    "tests.support": {"tests.support", "exercises.registry", "generator", "infra", "schemas"},
}  # fmt: skip


def modules() -> dict[str, Path]:
    """Every module of ours that the table speaks of, by name."""
    folders = (
        "app",
        "antifraud",
        "generator",
        "infra",
        "benchmarks",
        "exercises",
        "schemas",
        "tests/system",
        "tests/support",
    )
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {name_of(path): path for path in files}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = modules()


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def room_of(name: str) -> str | None:
    """The room of the table that a module is in. `app` itself is app/__init__.py alone."""
    rooms = [room for room in RIGHTS if within(name, room) and (room != "app" or name == "app")]
    return max(rooms, key=len, default=None)


def imported(path: Path) -> Iterator[str]:
    """What a file imports of ours, wherever it stands in the file: at the top, in a function, for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if not node.level
                else ["a.relative.one"]
            )
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = [
                ast.literal_eval(node.args[0]) if isinstance(node.args[0], ast.Constant) else "a.computed.one"
            ]
        yield from (name for name in names if name.split(".")[0] in (*OURS, "a"))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_its_room_has_a_right_to(name: str) -> None:
    room = room_of(name)
    assert room, f"{name} is in no room of the table"
    wrong = [one for one in imported(MODULES[name]) if not any(within(one, right) for right in RIGHTS[room])]
    assert wrong == [], f"{name} (room {room})"


def test_no_other_process_has_a_right_to_app() -> None:
    # workers themselves, taken apart or in other frames
    variants = {"exercises.controls", "exercises.synchronous", "benchmarks.peers"}
    outside = {
        room: rights for room, rights in RIGHTS.items() if not within(room, "app") and room not in variants
    }
    assert {"antifraud", "generator", "infra", "benchmarks", "exercises", "tests.system"} <= set(outside)
    assert not [room for room, rights in outside.items() if any(within(right, "app") for right in rights)]


def test_app_has_no_right_to_another_process_or_to_tests() -> None:
    foreign = {
        r for room, rights in RIGHTS.items() if within(room, "app") for r in rights if not within(r, "app")
    }
    assert foreign == {"schemas.proto"}


LIGHT = ["app.settings", "app.errors", "app.models.transaction", "app.models.status", "app.models.assessment"]
LIGHT += ["app.delivery", "app.metrics", "app.narration", "app.pipeline"]
HEAVY = {
    "faust",
    "mode",
    "tensorflow",
    "aiokafka",
    "cassandra",
    "redis",
    "grpc",
    "aiohttp",
    "httpx",
    "schema_registry",
}


def test_settings_models_and_the_pipeline_bring_neither_faust_nor_a_client_of_any_server() -> None:
    code = f"import sys, importlib\nfor name in {LIGHT}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_a_replicas_settings_bring_no_tensorflow_and_the_generator_no_faust() -> None:
    code = "import sys, antifraud.settings, generator.traffic, generator.client\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"tensorflow", "faust", "app"} & set(done.stdout.split()) == set()

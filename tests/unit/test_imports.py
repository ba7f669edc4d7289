"""What importing a module loads. The import rules are in pyproject.toml; `make lint` checks them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

LIGHT = ["app.settings", "app.errors", "app.models.transaction", "app.models.status", "app.models.assessment"]
LIGHT += [
    "app.processing.assignment",
    "app.processing.batch_processor",
    "app.observability.metrics",
    "app.observability.transaction_logger",
    "app.processing.pipeline",
]
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

"""Our four programs as docker-compose.yml starts them, in the image's folder, with the native servers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from reconciliation.readers import PATH
from tests.support import compose, http, image

pytestmark = pytest.mark.long

#: In start order; each replaces the stack's own process on its port.
SERVING = ("antifraud-1", "antifraud-2", "transactions", "bff")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image has in /payments."""
    made = tmp_path_factory.mktemp("image") / "payments"
    made.mkdir()
    image.copy_into(made)
    return made


@pytest.fixture(scope="module")
def containers(folder: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The four, running and healthy, while the stack's own are stopped."""
    with ExitStack() as ends:
        for name in reversed(SERVING):
            _stack("stop", name)
            ends.callback(_stack, "start", name)
        assert not any(_is_healthy(name, folder) for name in SERVING)
        started = {name: ends.enter_context(_container(name, folder)) for name in SERVING}
        for name in SERVING:
            _wait_for(lambda name=name: _is_healthy(name, folder), _log(folder, name))  # type: ignore[misc]
        yield started


def test_a_transaction_goes_through(containers: object) -> None:
    created = http.post()
    assert created.status == 201
    path = f"{PATH}/{created.json['transaction_id']}"
    _wait_for(lambda: http.call("GET", path).json.get("status") in http.FINAL, path)


@pytest.mark.skipif("sys.platform != 'linux'")
def test_they_listen_on_all_interfaces(containers: object) -> None:
    assert http.call("GET", "/health/live", url="http://127.0.0.2:5001").status == 200
    assert http.call("GET", "/health/live", url="http://127.0.0.2:5002").status == 200


def test_the_generator_is_served(containers: object, folder: Path) -> None:
    with _container("generator", folder):
        _wait_for(lambda: " 201 " in _log(folder, "generator").read_text(), _log(folder, "generator"))
        assert _is_healthy("generator", folder)


def test_they_write_only_where_the_image_allows(containers: object, folder: Path) -> None:
    given = {step.split()[1].split("/")[0] for step in image.steps("COPY")}
    assert {path.name for path in folder.iterdir()} == given


def test_they_end_within_their_grace_period(containers: dict[str, subprocess.Popen[bytes]]) -> None:
    for name in reversed(SERVING):
        grace = float(compose.services()[name]["stop_grace_period"].removesuffix("s"))
        containers[name].terminate()
        containers[name].wait(grace)


def _stack(command: str, name: str) -> None:
    subprocess.run([sys.executable, "-m", "infra.native", command, name], check=True, cwd=compose.ROOT)


def _environment(name: str, folder: Path) -> dict[str, str]:
    """A container's environment: the image's and the service's variables, and only PATH from this shell."""
    published = compose.native_environment(name) | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return published | {"PATH": path, "APP_DATADIR": str(folder.parent / "faust")}


@contextmanager
def _container(name: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = compose.services()[name]["command"].split()
    with _log(folder, name).open("w") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(name, folder), stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _log(folder: Path, name: str) -> Path:
    return folder.parent / f"{name}.txt"


def _is_healthy(name: str, folder: Path) -> bool:
    """The file's own health check."""
    kind, *words = compose.services()[name]["healthcheck"]["test"]
    assert kind == "CMD"
    environment = _environment(name, folder)
    return not subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False).returncode


def _wait_for(done: Callable[[], bool], log: Path | str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, log.read_text()[-3000:] if isinstance(log, Path) else log
        time.sleep(0.2)

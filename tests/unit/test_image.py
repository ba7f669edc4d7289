"""The Dockerfile: its steps, done in order in an empty directory."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.support import compose, image


def test_its_run_steps_succeed_in_order_in_an_empty_directory(tmp_path: Path) -> None:
    """In a new Python with nothing but what `make setup` has installed by the same hashes: no download, seconds."""
    folder, python = tmp_path / "payments", tmp_path / "python"
    folder.mkdir()
    venv.create(python, with_pip=True)
    # Offline: a package that is missing, or of another version than the lock's, is an error.
    environment = {
        "PATH": f"{python / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_INDEX": "1",
    }

    image.copy_into(folder)
    for step in image.steps("RUN"):
        done = subprocess.run(["sh", "-c", step], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"


def test_packages_are_installed_by_hash() -> None:
    (install,) = [step for step in image.steps("RUN") if "pip install" in step]
    assert "--require-hashes -r requirements.lock" in install


def test_it_is_a_pinned_python_that_the_project_supports_and_not_root() -> None:
    (base,) = image.steps("FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base)
    assert image.steps("USER") == ["nobody"]


def test_what_it_copies_is_sent_to_the_engine_and_nothing_else() -> None:
    lines = (compose.ROOT / ".dockerignore").read_text().splitlines()
    sent = [line[1:] for line in lines if line.startswith("!")]
    assert lines.index("*") < lines.index(f"!{sent[0]}")
    sources = [step.split()[0] for step in image.steps("COPY")]
    assert sorted(sent) == sorted(sources)
    assert not any(fnmatch.fnmatch(".stack", pattern) for pattern in sent)


def test_each_command_of_compose_finds_its_module(tmp_path: Path) -> None:
    image.copy_into(tmp_path)
    modules = ["app.bff", "app.transactions", "antifraud.server", "generator.__main__", "infra.native.ready"]
    found = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    subprocess.run([sys.executable, "-c", found, *modules], cwd=tmp_path, check=True)

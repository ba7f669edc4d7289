"""The Dockerfile's steps without an engine: COPY into a folder, RUN as written."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.compose import ROOT

NOT_COPIED = shutil.ignore_patterns("__pycache__")


#: The images: the values of the build argument PACKAGES.
IMAGES = ("app", "antifraud")


def steps(word: str, packages: str = "app") -> list[str]:
    """The arguments of each instruction of that name, in order."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").replace("${PACKAGES}", packages)
    return [line.removeprefix(word).strip() for line in text.splitlines() if line.startswith(word + " ")]


def copy_into(folder: Path, packages: str = "app") -> None:
    """Every COPY, in order."""
    for step in steps("COPY", packages):
        source, target = step.split()
        place = folder / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=NOT_COPIED)
        else:
            place = place / source if target == "." else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)

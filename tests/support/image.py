"""The Dockerfile's steps without an engine: COPY into a folder, RUN as written."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.compose import ROOT

NOT_COPIED = shutil.ignore_patterns("__pycache__")


#: The images: the values of the build argument PACKAGES.
IMAGES = ("app", "antifraud")


DOCKERFILE, SERVERS = "Dockerfile", "infra/containers/Dockerfile"


def steps(word: str, packages: str = "app", dockerfile: str = DOCKERFILE) -> list[str]:
    """The arguments of each instruction of that name, in order."""
    text = (ROOT / dockerfile).read_text().replace("\\\n", " ").replace("${PACKAGES}", packages)
    return [line.removeprefix(word).strip() for line in text.splitlines() if line.startswith(word + " ")]


def copy_into(folder: Path, packages: str = "app", dockerfile: str = DOCKERFILE) -> None:
    """Every COPY, in order; the servers' image is built in infra/."""
    context = ROOT / "infra" if dockerfile == SERVERS else ROOT
    for step in steps("COPY", packages, dockerfile):
        source, target = step.split()
        place = folder / target
        if (context / source).is_dir():
            shutil.copytree(context / source, place, ignore=NOT_COPIED, dirs_exist_ok=True)
        else:
            place = place / source if target == "." else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(context / source, place)

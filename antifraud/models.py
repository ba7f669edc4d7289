"""The models that a replica has: the one that it serves, a second one in its shadow, and those that a call may name.

A model is a file model.json. A folder of models has one of its own, served by default, and more of them in folders
beside it; what those are called is for people, a model's version comes from its content.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antifraud.settings import Settings, WrongSettingError

TRAINED = Path(__file__).with_name("trained")

log = logging.getLogger("antifraud")


@dataclass(frozen=True)
class Chosen:
    """Versions: the model that decides, the one in its shadow if there is one; and the folder of each there is."""

    served: str
    shadow: str | None
    folders: Mapping[str, Path]


@dataclass(frozen=True)
class Models:
    """The same, loaded (antifraud.model.Model)."""

    served: Any
    shadow: Any = None
    by_version: Mapping[str, Any] = field(default_factory=dict)


def present(folder: Path) -> dict[str, Path]:
    """Return the folder of each version there is; a file that is no model is left out."""
    found: dict[str, Path] = {}
    for file in (folder / "model.json", *sorted(folder.glob("*/model.json"))):
        if version := _version(file):
            found.setdefault(version, file.parent)
    return found


def choose(settings: Settings) -> Chosen:
    """Return what the settings say; WrongSettingError for a model that there is not."""
    folder = Path(settings.antifraud_models) if settings.antifraud_models else TRAINED
    folders = present(folder)
    default = _version(folder / "model.json") or ""
    served = _known("ANTIFRAUD_MODEL", settings.antifraud_model or default, folders, folder)
    shadow = None
    if settings.antifraud_shadow not in ("", served):  # of itself it has nothing to say
        shadow = _known("ANTIFRAUD_SHADOW", settings.antifraud_shadow, folders, folder)
    return Chosen(served, shadow, folders)


def load_all(chosen: Chosen) -> Models:
    """Return every model, loaded now: a call that names one does not make the others wait.

    A file that is damaged is a ValueError if its model is chosen; else that model is left out and the log says so.
    """
    from antifraud.model import load

    loaded = {}
    for version, folder in chosen.folders.items():
        try:
            loaded[version] = load(folder)
        except (ValueError, KeyError, TypeError) as error:
            if version in (chosen.served, chosen.shadow):
                raise ValueError(f"model {version} cannot be loaded: {error}") from error
            log.error("model %s is left out, it cannot be loaded: %s", version, error)
    return Models(loaded[chosen.served], loaded[chosen.shadow] if chosen.shadow else None, loaded)


def _version(file: Path) -> str | None:
    try:
        return str(json.loads(file.read_text())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _known(setting: str, version: str, folders: Mapping[str, Path], folder: Path) -> str:
    if version in folders:
        return version
    what = f"no model {version!r}" if version else "no model.json"
    there_are = f"there are: {', '.join(folders)}" if folders else "there is none"
    raise WrongSettingError(f"{setting}: {what} in {folder}; {there_are}")

"""Under which licence each locked Python package is, by its own metadata; which of them bind whoever ships it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: What is in the images of ours: it goes to whoever gets them.
SHIPPED = (ROOT / "infra" / "image" / "app.lock", ROOT / "infra" / "image" / "antifraud.lock")
UNKNOWN = "unknown"
NAMES = re.compile(
    r"Apache License|MIT License|BSD \d-Clause|Mozilla Public License|GNU [A-Z][A-Za-z ]+ License"
)
#: What contains it must be under it too: not for what we ship.
COPYLEFT = re.compile(r"\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)


def locked(*locks: Path) -> dict[str, str]:
    """Package -> version, as these files have them."""
    return {name: version for lock in locks for name, version, _ in packages(lock)}


def packages(lock: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and SHA-256 hashes of each package of a lock."""
    for part in re.split(r"^(?=[A-Za-z0-9])", lock.read_text(), flags=re.MULTILINE):
        if found := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", part):
            yield found[1], found[2], re.findall(r"--hash=sha256:([0-9a-f]{64})", part)


def of(name: str) -> str:
    """A package's licence: an SPDX expression where it has one, else its classifiers, its field, its file's title."""
    try:
        known = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return UNKNOWN  # a marker leaves it out on this machine
    classifiers = [
        one.rpartition(" :: ")[2] for one in known.get_all("Classifier", []) if one.startswith("License :: ")
    ]
    (expression, *_), (text, *_) = known.get_all("License-Expression", [""]), known.get_all("License", [""])
    stated = expression or "; ".join(classifiers) or _first_line(text)
    return stated or _title(metadata.distribution(name)) or UNKNOWN


def _title(package: metadata.Distribution) -> str:
    """What the licence that comes with it is called."""
    for file in package.files or ():
        if re.match(r"LICEN[CS]E|COPYING", file.name.upper()) and (found := NAMES.search(file.read_text())):
            return found[0]
    return ""


def _first_line(text: str) -> str:
    return next((line.strip()[:60] for line in text.splitlines() if line.strip()), "")


def verdict(licences: Mapping[str, str]) -> tuple[int, str]:
    """The exit code and what to print about the packages that we ship, by their licences."""
    bound = [f"{name}: {licence}" for name, licence in licences.items() if COPYLEFT.search(licence)]
    unstated = [name for name, licence in licences.items() if licence == UNKNOWN and _is_here(name)]
    lines = [
        *(f"{one}: what we ship would have to be under it too" for one in bound),
        *(f"{name}: states no licence" for name in unstated),
    ]
    return (
        (1, "\n".join(lines))
        if lines
        else (0, f"No licence that binds what we ship, of {len(licences)} packages")
    )


def _is_here(name: str) -> bool:
    return any(True for _ in metadata.distributions(name=name))


def shipped() -> dict[str, str]:
    """Package -> licence, of what the images contain."""
    return all_of(locked(*SHIPPED))


def all_of(names: Iterable[str]) -> dict[str, str]:
    """Package -> licence."""
    return {name: of(name) for name in names}

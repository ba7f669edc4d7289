"""What a report was made with."""

from __future__ import annotations

import platform
from importlib import metadata


def versions() -> dict[str, str]:
    """Return Python's version and those of the packages that a fit depends on."""
    packages = ("tensorflow", "numpy", "scikit-learn")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in packages}

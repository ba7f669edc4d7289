"""What a report was made with."""

from __future__ import annotations

import platform
from importlib import metadata

import numpy as np
import tensorflow as tf


def versions() -> dict[str, str]:
    """Return Python's version and those of the packages that a fit depends on."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "scikit-learn": metadata.version("scikit-learn"),
    }

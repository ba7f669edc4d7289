"""The payments pipeline: one Faust app; app/main.py is its map."""

__version__ = "0.1.0"  # as in pyproject.toml, which an image does not have

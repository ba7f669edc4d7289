"""Customer traffic over HTTP; knows nothing of what is behind the API."""

__version__ = "0.1.0"  # as in pyproject.toml, which an image does not have

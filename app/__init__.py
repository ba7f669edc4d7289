"""The payments pipeline: one Faust app; app/main.py is its map."""

import os

__version__ = "0.1.0"  # as in pyproject.toml, which an image does not have

# gRPC's own log, which it reads at its import: several lines for each try to connect that TLS ends. We say why once.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

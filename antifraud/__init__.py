"""Antifraud: a separate process that estimates how likely a transaction is to be good; it never imports app."""

import os

# Before TensorFlow is imported: no chatter on stderr (its failures are exceptions), one family of kernels.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Before gRPC is: its failures arrive as exceptions, which we word ourselves.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

__version__ = "0.1.0"  # as in pyproject.toml, which an image does not have

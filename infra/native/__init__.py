"""Brings and starts the real servers on this machine: no Docker, no root."""

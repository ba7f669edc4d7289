"""Killing parts of the stack, and making it whole again."""

from __future__ import annotations

from infra.native import processes, stack


def kill(*names: str) -> None:
    """SIGKILL each."""
    for name in names:
        stack.kill(name)


def whole() -> None:
    """Start all that is dead, side by side, and wait until all is ready that is not hung."""
    known = processes.states().items()
    stack.up(only=[name for name, part in known if name != "generator" and part.state != "paused"])

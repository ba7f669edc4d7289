"""A command whose reader stops reading (`make topic … | head`) ends at once and silently."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.support import commands, http


@pytest.mark.parametrize(
    "command", [("lag",), ("verify",), ("dead-letters",), ("topic", "transaction_created")]
)
def test_a_command_whose_reader_is_gone_ends_without_a_traceback(command: tuple[str, ...]) -> None:
    http.taken()  # so that there is something to print
    with commands.begin(*command, stderr=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        said = started.stderr.read()
        assert (started.wait(60), "Traceback" in said) == (128 + signal.SIGPIPE, False), said

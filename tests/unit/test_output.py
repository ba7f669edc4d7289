"""What a command prints, and what becomes of it when nobody reads it any more."""

from __future__ import annotations

import os
import signal

import pytest

from app.commands.running import Output


def test_a_command_whose_reader_has_gone_ends_as_any_other_does() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as raw:
        out = Output(raw)
        out.write("a line that is read\n")
        out.flush()
        os.close(read)
        out.write("one that is not\n")
        with pytest.raises(SystemExit) as ended:
            out.flush()
        assert ended.value.code == 128 + signal.SIGPIPE
        out.write("what is still said goes nowhere\n")
        out.flush()

"""What a command prints, and how it ends when its reader is gone."""

from __future__ import annotations

import os
import signal

import pytest
from aiokafka.errors import KafkaConnectionError

from app.commands.shared.console import Output, friendly_errors, reason
from app.errors import LogUnavailable, StoreUnavailable


def test_a_command_whose_reader_is_gone_ends_normally() -> None:
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


def test_on_a_stack_that_is_down_a_command_says_so_in_its_own_words() -> None:
    driver = KafkaConnectionError(
        "Unable to bootstrap from [('127.0.0.1', 9092, <AddressFamily.AF_INET: 2>)]"
    )
    with pytest.raises(SystemExit) as ended, friendly_errors("lag"):
        raise driver
    assert "no broker answers at 127.0.0.1:9092; if nothing is up: make up" in str(ended.value.code)
    assert "AddressFamily" not in str(ended.value.code)
    wrapped = LogUnavailable("no broker answers: KafkaConnectionError(...)")
    wrapped.__cause__ = driver
    assert reason(wrapped) == reason(driver)
    assert reason(StoreUnavailable("no node answers")) == "no node answers"

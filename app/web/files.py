"""Files that are read again when they change: tokens, a certificate. A broken new one leaves in use what was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from app.errors import WrongFile

log = logging.getLogger(__name__)

#: Seconds between two looks.
LOOK_EVERY = 2.0


class Loaded(Protocol):
    """What is made of one or two files."""

    def load(self) -> str | None:
        """Read them: what is used from now on, in words, None if nothing changed; WrongFile."""


async def keep_current(each: Sequence[Loaded]) -> None:
    """Look every few seconds, for ever; a file that stays broken is said once."""
    said: dict[int, str] = {}
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for number, loaded in enumerate(each):
            try:
                changed = await asyncio.to_thread(loaded.load)
            except WrongFile as exc:
                if said.get(number) != str(exc):
                    log.error("%s. What was read before stays in use until the file is put right", exc)
                said[number] = str(exc)
            else:
                if said.pop(number, None) and not changed:
                    changed = "what was read before, the file is as it was"
                if changed:
                    log.info("In use from now on: %s", changed)

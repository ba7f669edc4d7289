"""`faust -A app.main dead-letters`: list, show and send back what nobody could handle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import faust
from faust.cli import option

from app import topics
from app.codec import NO_FOR
from app.commands.letters import SENT_BACK, Letter, letters_of, name_of, shown
from app.commands.reading import Reader
from app.commands.running import ends_in_a_sentence
from app.commands.writing import OneWriter, Outgoing
from app.settings import Settings


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(
        option("--show", metavar="PARTITION:OFFSET", help="All of one: headers, hex and text of its bytes."),
        option("--send-back", metavar="PARTITION:OFFSET|all", help="Once more into transaction_created."),
        name="dead-letters",
    )
    async def dead_letters(self: Any, show: str | None, send_back: str | None) -> None:
        """List dead letters; show one; send them back after a mend."""
        with ends_in_a_sentence("dead-letters"):
            if send_back:
                await _send_back(settings, send_back)
            elif show:
                print(shown(chosen(await _letters(settings), show)[0]))
            else:
                _list(await _letters(settings))


async def _letters(settings: Settings) -> list[Letter]:
    async with Reader(settings, topics.DEAD_LETTER) as reader:
        await reader.seek()
        return letters_of([record async for chunk in reader.chunks(2000) for record in chunk])


def _list(letters: Sequence[Letter]) -> None:
    for letter in letters:
        print(letter.line)
    # As verify counts them: letters_of and verify both by `Sources`.
    waiting = sum(not letter.sent_back for letter in letters)
    print(f"{len(letters)} dead letters, {waiting} of them not sent back")


def chosen(letters: Sequence[Letter], place: str) -> list[Letter]:
    """The letter of that place, or all; SystemExit when there is none."""
    found = [letter for letter in letters if place in ("all", letter.place)]
    if not found and place != "all":
        raise SystemExit(f"no dead letter at {place}; the list: faust -A app.main dead-letters")
    return found


async def _send_back(settings: Settings, place: str) -> None:
    async with OneWriter(settings, "dead-letters") as writer:
        letters = chosen(await _letters(settings), place)  # read once nobody else can send
        await asyncio.sleep(until_forgotten(letters, time.time()))
        for letter in letters:
            if letter.sent_back:
                continue
            if letter.is_batch:
                print(f"{letter.place} is a batch that nobody can read: not sent back")
                continue
            if letter.is_cut:
                print(
                    f"{letter.place} is only a part of {name_of(letter.source)}, which is too large: not sent back"
                )
                continue
            await writer.write(sent_back(letter))
            topic, partition, _ = letter.source
            print(f"{letter.place} is sent back to {topic}[{partition}]")
    done = sum(letter.sent_back for letter in letters)
    cut = sum((letter.is_cut or letter.is_batch) and not letter.sent_back for letter in letters)
    print(f"{len(letters) - done - cut} sent back, {done} had been before")


def until_forgotten(letters: Sequence[Letter], now: float) -> float:
    """Seconds until the workers ask the registry again about schemas that it did not have when these failed."""
    newest = max((letter.failed_at / 1000 for letter in letters if not letter.sent_back), default=0.0)
    return min(NO_FOR, max(0.0, newest + NO_FOR - now))


def sent_back(letter: Letter) -> list[Outgoing]:
    """The original, and the mark that it was sent: in one transaction, so that neither is there alone."""
    topic, partition, _ = letter.source
    record = letter.record
    mark = [(SENT_BACK, name_of(letter.source).encode())]
    return [
        Outgoing(topic, partition, record.key, letter.value, letter.original_headers),
        Outgoing(topics.DEAD_LETTER, record.partition, record.key, None, mark),
    ]

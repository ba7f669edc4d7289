"""`faust -A app.main dead-letters`: list, show and send back what nobody could handle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import faust
from faust.cli import option

from app.commands.shared.console import ends_in_a_sentence
from app.commands.shared.dead_letter_topic import SENT_BACK, Letter, Listed, Sources, name_of, shown
from app.commands.shared.fenced_writer import OneWriter, Outgoing
from app.commands.shared.topic_reader import Reader, by_time
from app.messaging import topics
from app.messaging.codec import NO_FOR
from app.messaging.dead_letters import told_by
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
                async for letter in chosen(_letters(settings), show):
                    print(shown(letter))
            else:
                await _list(settings)


async def _letters(settings: Settings) -> AsyncIterator[Letter]:
    """By the time they were written; in memory are their places alone, some 200 bytes each."""
    sources = Sources()
    async with Reader(settings, topics.DEAD_LETTER) as reader:
        await reader.seek()
        async for records in reader.chunks(500):
            for record in records:
                sources.add(told_by(record))
    listed = Listed(sources)
    async for record in by_time(settings, topics.DEAD_LETTER):
        if letter := listed.letter(record):
            yield letter


async def _list(settings: Settings) -> None:
    count = waiting = 0
    async for letter in _letters(settings):
        print(letter.line)
        count += 1
        waiting += not letter.sent_back
    # As verify counts them: both by `Sources`.
    print(f"{count} dead letters, {waiting} of them not sent back")


async def chosen(letters: AsyncIterator[Letter], place: str) -> AsyncIterator[Letter]:
    """The letter of that place, or all; SystemExit when there is none."""
    found = False
    async for letter in letters:
        if place in ("all", letter.place):
            found = True
            yield letter
    if not found and place != "all":
        raise SystemExit(f"no dead letter at {place}; the list: faust -A app.main dead-letters")


async def _send_back(settings: Settings, place: str) -> None:
    count = done = 0
    async with OneWriter(settings, "dead-letters") as writer:
        async for letter in chosen(_letters(settings), place):  # read once nobody else can send
            if letter.sent_back:
                done += 1
            elif letter.is_batch:
                print(f"{letter.place} is a batch that nobody can read: not sent back")
            elif letter.is_cut:
                print(
                    f"{letter.place} is only a part of {name_of(letter.source)}, which is too large: not sent back"
                )
            else:
                await asyncio.sleep(until_forgotten(letter, time.time()))
                await writer.write(sent_back(letter))
                topic, partition, _ = letter.source
                print(f"{letter.place} is sent back to {topic}[{partition}]")
                count += 1
    print(f"{count} sent back, {done} had been before")


def until_forgotten(letter: Letter, now: float) -> float:
    """Seconds until the workers ask the registry again about a schema that it did not have when this one failed."""
    return min(NO_FOR, max(0.0, letter.failed_at / 1000 + NO_FOR - now))


def sent_back(letter: Letter) -> list[Outgoing]:
    """The original, and the mark that it was sent: in one transaction, so that neither is there alone."""
    topic, partition, _ = letter.source
    record = letter.record
    mark = [(SENT_BACK, name_of(letter.source).encode())]
    return [
        Outgoing(topic, partition, record.key, letter.value, letter.original_headers),
        Outgoing(topics.DEAD_LETTER, record.partition, record.key, None, mark),
    ]

"""`faust -A app.main dead-letters`: list, show and send back what nobody could handle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import faust
from faust.cli import option

from app.commands.shared.console import friendly_errors
from app.commands.shared.topic_reader import TopicReader, by_time
from app.messaging import topics
from app.messaging.dead_letter_topic import (
    DeadLetterSources,
    Listed,
    StoredDeadLetter,
    name_of,
    sent_back,
    shown,
    until_forgotten,
)
from app.messaging.dead_letters import headers_of
from app.messaging.fenced_writer import FencedWriter
from app.settings import Settings


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(
        option("--show", metavar="PARTITION:OFFSET", help="All of one: headers, hex and text of its bytes."),
        option("--send-back", metavar="PARTITION:OFFSET|all", help="Once more into transaction_created."),
        name="dead-letters",
    )
    async def dead_letters(self: Any, show: str | None, send_back: str | None) -> None:
        """List dead letters; show one; send them back after a fix."""
        with friendly_errors("dead-letters"):
            if send_back:
                await _send_back(settings, send_back)
            elif show:
                async for dead_letter in chosen(_dead_letters(settings), show):
                    print(shown(dead_letter))
            else:
                await _list(settings)


async def _dead_letters(settings: Settings) -> AsyncIterator[StoredDeadLetter]:
    """By the time they were written; in memory are their places alone, some 200 bytes each."""
    sources = DeadLetterSources()
    async with TopicReader(settings, topics.DEAD_LETTER) as reader:
        await reader.seek()
        async for records in reader.chunks(500):
            for record in records:
                sources.add(headers_of(record))
    listed = Listed(sources)
    async for record in by_time(settings, topics.DEAD_LETTER):
        if dead_letter := listed.dead_letter(record):
            yield dead_letter


async def _list(settings: Settings) -> None:
    count = waiting = 0
    async for dead_letter in _dead_letters(settings):
        print(dead_letter.line)
        count += 1
        waiting += not dead_letter.sent_back
    # As verify counts them: both by `DeadLetterSources`.
    print(f"{count} dead letters, {waiting} of them not sent back")


async def chosen(
    dead_letters: AsyncIterator[StoredDeadLetter], place: str
) -> AsyncIterator[StoredDeadLetter]:
    """The dead letter of that record, or all; SystemExit when there is none."""
    found = False
    async for dead_letter in dead_letters:
        if place in ("all", dead_letter.place):
            found = True
            yield dead_letter
    if not found and place != "all":
        raise SystemExit(f"no dead letter at {place}; the list: faust -A app.main dead-letters")


async def _send_back(settings: Settings, place: str) -> None:
    count = done = 0
    async with FencedWriter(settings, "dead-letters") as writer:
        async for dead_letter in chosen(_dead_letters(settings), place):  # read once nobody else can send
            if dead_letter.sent_back:
                done += 1
            elif dead_letter.is_batch:
                print(f"{dead_letter.place} is a batch that nobody can read: not sent back")
            elif dead_letter.is_cut:
                print(
                    f"{dead_letter.place} holds only a part of {name_of(dead_letter.source)} (too large): not sent back"
                )
            else:
                await asyncio.sleep(until_forgotten(dead_letter, time.time()))
                await writer.write(sent_back(dead_letter))
                topic, partition, _ = dead_letter.source
                print(f"{dead_letter.place} is sent back to {topic}[{partition}]")
                count += 1
    print(f"{count} sent back, {done} had been before")

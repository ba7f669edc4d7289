"""The facts of every place: the log to where it ends now, then the stores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any

from aiokafka import TopicPartition

from app.commands.shared.console import Progress
from app.commands.shared.topic_reader import TopicReader, connected
from app.commands.verify import observations
from app.commands.verify.full_scans import CompletenessMarker, LabelScan, RecentScan, TableScan
from app.commands.verify.labels import LabelCheck, LabelLog
from app.commands.verify.observations import Observation, Observations
from app.commands.verify.rules import Watermarks
from app.errors import Poison
from app.messaging import consumer_groups, topics
from app.messaging.codec import Codec
from app.messaging.dead_letter_topic import DeadLetterSources
from app.messaging.dead_letters import Source, headers_of
from app.settings import Settings
from app.stores.cassandra import Cassandra

CHUNK = 2000
#: Seconds a call to Redis may take: a comparison is no GET.
REDIS_TIMEOUT = 10.0

Place = tuple[int, int]


class Sources:
    """The four places and what is known of them; opened once, for a comparison and for the second look."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._cassandra = Cassandra(settings)
        self.table = TableScan(self._cassandra, settings.cassandra_timeout)
        self.recent = RecentScan(settings.model_copy(update={"redis_timeout": REDIS_TIMEOUT}))
        self.observations = Observations()
        self.dead_letters = DeadLetterSources()
        self.left_out: set[Source] = set()  # batches that cannot be read
        self.dead_lettered: set[Place] = set()
        self.unreadable: set[Place] = set()
        self._ends: dict[str, dict[int, int]] = {}
        self.codecs: dict[str, Codec] = {}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Sources:
        self._closing.push_async_callback(self.recent.close)
        self._closing.push_async_callback(self._cassandra.close)
        try:
            await self.recent.open()
            await self.recent.ping()
            await self._cassandra.open()
            for topic in (topics.CREATED, topics.STATUS, topics.LABEL):
                self.codecs[topic] = await topics.reader(self._settings, topic)
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    async def read_all(self, say: Callable[[str, int], Progress]) -> CompletenessMarker:
        """The log and the stores at once; gives what Redis claimed all the time.

        While this process decodes what the one has sent, the other reads. What comes meanwhile is looked at again.
        """
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self.read_log(say))
                completeness = both.create_task(self._read_stores())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the first; the other one has been cancelled
        return completeness.result()

    async def read_log(self, say: Callable[[str, int], Progress]) -> None:
        """What the log has got since it was read last.

        A dead letter and a status each follow the record that asked, so their ends are taken before its topic's: what
        they speak of is then among what was asked.
        """
        await self._read_dead_letters()
        async with (
            TopicReader(self._settings, topics.STATUS) as published,
            TopicReader(self._settings, topics.CREATED) as asked,
        ):
            await published.seek(past=self._ends.get(topics.STATUS))
            await asked.seek(past=self._ends.get(topics.CREATED))
            await self._read(asked, topics.CREATED, observations.created, say)
            await self._read(published, topics.STATUS, observations.published, say)
            self._ends = {topics.STATUS: published.ends, topics.CREATED: asked.ends}
            self.left_out |= {*published.left_out, *asked.left_out}

    async def _read_dead_letters(self) -> None:
        self.dead_letters = DeadLetterSources()
        async with TopicReader(self._settings, topics.DEAD_LETTER) as dead_letters:
            await dead_letters.seek()
            async for records in dead_letters.chunks(CHUNK):
                for record in records:
                    self.dead_letters.add(headers_of(record))
        self.dead_lettered |= {
            (number, at) for topic, number, at in self.dead_letters.all if topic == topics.CREATED
        }

    async def _read(
        self,
        reader: TopicReader,
        topic: str,
        observe: Callable[[Any, Any], Observation],
        say: Callable[[str, int], Progress],
    ) -> None:
        progress, codec = say(f"reading {topic}", reader.total), self.codecs[topic]
        async for records in reader.chunks(CHUNK):
            decoded = await codec.decode([record.value for record in records])
            pairs = list(zip(records, decoded, strict=True))
            self.observations.add(
                observe(record, one) for record, one in pairs if not isinstance(one, Poison)
            )
            if topic == topics.CREATED:
                self.unreadable |= {(r.partition, r.offset) for r, one in pairs if isinstance(one, Poison)}
            progress.add(len(records), reader.passed)
            await asyncio.sleep(0)  # records that are there come without giving way to the stores' answers
        progress.ended()

    async def _read_stores(self) -> CompletenessMarker:
        async for rows in self.table.pages():
            self.observations.add(map(observations.stored, rows))
        before = await self.recent.completeness()
        async for entries in self.recent.entries():
            self.observations.add(observations.entry(key, text) for key, text in entries)
        async for keys in self.recent.order():
            self.observations.add(map(observations.listed, keys))
        after = await self.recent.completeness()
        return CompletenessMarker(before.complete and after.complete, after.trimmed, after.oldest)

    async def records(self, wanted: Iterable[tuple[str, int, int]]) -> list[dict[str, Any]]:
        """The records at these places (topic, partition, offset), one after another: for the few that differ."""
        found = []
        async with connected(self._settings) as (consumer, _):
            for topic, partition, offset in wanted:
                tp = TopicPartition(topic, partition)
                consumer.assign([tp])
                consumer.seek(tp, offset)
                record = await consumer.getone(tp)
                found += await self.codecs[topic].decode([record.value])
        return found

    def label_check(self) -> LabelCheck:
        """What compares the labels."""
        log = LabelLog(self._settings, self.codecs[topics.LABEL])
        return LabelCheck(log, LabelScan(self._cassandra, self._settings.cassandra_timeout))

    async def watermarks(self) -> Watermarks:
        """How far the groups are; asked before the stores are looked at once more."""
        return Watermarks(
            decided=await consumer_groups.committed_offsets(self._settings, topics.CREATED),
            shown=await consumer_groups.committed_offsets(self._settings, topics.STATUS),
            dead_lettered=self.dead_lettered,
            now=int(time.time() * 1000),
        )

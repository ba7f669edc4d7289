"""One look at the system: every part is asked at once, each with its own deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial

import aiohttp

from app.errors import LogUnavailable
from app.messaging import topics
from app.models.health import Unusable
from app.resources import Resources
from app.system import envoy
from app.system.cassandra_nodes import CassandraNodes
from app.system.costs import OF_BROKERS
from app.system.deadline import DEADLINE, BusyOurselves, Fault, OngoingLook, probed
from app.system.groups import GroupReader, Groups
from app.system.parts import UP, Finding
from app.system.probes import RedisProbe, ReplicaProbe, ask_registry
from app.system.workers import Workers

#: Before Envoy has said which replicas there are.
REPLICAS = ("antifraud-1", "antifraud-2")
NOT_KNOWN = Finding("unknown", "Envoy does not answer")
REFILLED = Finding("degraded", "being refilled from the log")

Findings = dict[str, Finding | None]


class SystemLook:
    """The probes, with what they keep open."""

    def __init__(self, resources: Resources, workers: Workers, redis_is_complete: Callable[[], bool]):
        self._resources, self._settings = resources, resources.settings
        self._workers = workers
        self._redis_is_complete = redis_is_complete
        self._cassandra = CassandraNodes(self._settings, resources.cassandra)
        self._redis = RedisProbe(self._settings)
        self._replicas: Sequence[envoy.Replica] = ()
        self._replica_probes: dict[str, ReplicaProbe] = {}  # by address
        self._groups = GroupReader(self._settings, workers.role)
        self._groups_look = OngoingLook(self._groups.read)
        self._session: aiohttp.ClientSession | None = None

    async def ask(self) -> tuple[Findings, Groups | None]:
        """What each part is, by name; and the groups, None while Kafka does not say."""
        if self._session is None:
            # Each probe's own deadline comes first.
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE + 1))
        session = self._session
        registry = partial(ask_registry, session, self._settings)
        async with asyncio.TaskGroup() as tasks:
            simple = {
                name: tasks.create_task(probed(ask))
                for name, ask in (
                    ("kafka", self._ask_kafka),
                    ("registry", registry),
                    ("redis", self._ask_redis),
                )
            }
            cassandra = tasks.create_task(self._cassandra.ask())
            antifraud = tasks.create_task(self._ask_antifraud(session))
            groups = tasks.create_task(self._ask_groups())
            tasks.create_task(self._workers.ask(session))
        if found := groups.result():
            await self._workers.ask(session, self._workers.update(found))
        parts = {name: task.result() for name, task in simple.items()}
        return parts | cassandra.result() | antifraud.result() | self._workers.findings(), found

    async def _ask_kafka(self) -> Finding:
        if not self._resources.producer.is_open:  # at the start, which also waits for other things
            await self._groups_look.result()
            return UP
        try:
            both = topics.CREATED, topics.STATUS
            (created, status), living = await self._resources.producer.partitions_and_brokers(both)
        except Unusable as exc:
            raise Fault(str(exc)) from exc
        if created > status:
            raise Fault(topics.unequal(created, status))
        return judged_brokers(living, self._settings.topic_replication)

    async def _ask_redis(self) -> Finding:
        await self._redis.ask()
        return UP if self._redis_is_complete() else REFILLED

    async def _ask_antifraud(self, session: aiohttp.ClientSession) -> Findings:
        """Envoy, and its replicas as it sees them and as they say themselves."""

        async def ask_envoy() -> None:
            self._replicas = await envoy.ask(session, self._settings.envoy_admin_address)

        known = self._replicas  # those of the look before: nobody waits for Envoy's answer
        found, answers = await asyncio.gather(
            probed(ask_envoy), asyncio.gather(*(self._probe(replica.address).ask() for replica in known))
        )
        await self._forget({replica.address for replica in self._replicas})
        if found is not None and found.state != "up":
            names = [replica.name for replica in self._replicas] or REPLICAS
            return {**dict.fromkeys(names, NOT_KNOWN), "envoy": found}
        said = dict(zip((replica.address for replica in known), answers, strict=True))
        replicas = {
            replica.name: envoy.judged(
                replica.finding,
                answers=said.get(replica.address),
                has_answered=self._probe(replica.address).has_answered,
            )
            for replica in self._replicas
        }
        return {**replicas, "envoy": found}

    def _probe(self, address: str) -> ReplicaProbe:
        if address not in self._replica_probes:
            self._replica_probes[address] = ReplicaProbe(self._settings, address)
        return self._replica_probes[address]

    async def _forget(self, present: Collection[str]) -> None:
        for address in self._replica_probes.keys() - present:
            await self._replica_probes.pop(address).close()

    async def _ask_groups(self) -> Groups | None:
        try:
            return await self._groups_look.result()
        except (LogUnavailable, TimeoutError, BusyOurselves):
            return None

    async def close(self) -> None:
        """Disconnect from everything."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._groups_look.close()
        await self._groups.close()
        await self._redis.close()
        await self._forget(())
        self._cassandra.close()


def judged_brokers(living: int, replicas: int) -> Finding:
    """Kafka, by how many brokers answer: each record must be on all but one of its replicas."""
    if living >= replicas:
        return UP
    word = f"{living} of {replicas}{OF_BROKERS}"
    return Finding("degraded" if living >= topics.in_sync_at_least(replicas) else "down", word)

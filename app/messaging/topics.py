"""The topics with their schemas: what each is called, made like, checked for."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from schema_registry.client import SchemaRegistryClient, schema
from schema_registry.client.errors import ClientError

from app import connections
from app.errors import LogUnavailable, Poison
from app.messaging.codec import Codec, Fetch
from app.messaging.fenced_producer import CLAIM_IS_KNOWN, CLAIM_LASTS
from app.settings import Settings, without_secrets

CREATED = "transaction_created"
STATUS = "transaction_status"
LABEL = "transaction_label"
MERCHANT_TOTALS = "merchant_totals"
DEAD_LETTER = "transaction_created.dead_letter"
#: Made when partitions are added for the first time (app.messaging.growth); none of ALL, which every worker needs.
PARTITIONS_ADDED = "partitions_added"
ALL = (CREATED, STATUS, LABEL, MERCHANT_TOTALS, DEAD_LETTER)
#: One order for all of its records, some dozens a day: what is known of merchants is as of an offset.
IN_ORDER = (MERCHANT_TOTALS, PARTITIONS_ADDED)
#: What each agent reads.
OF_AGENT = {"transactions": CREATED, "statuses": STATUS, "labels": LABEL}

SCHEMAS = Path(__file__).parents[2] / "schemas" / "avro"

#: What is to be rebuilt from the log must be in it: kept for ever, never compacted.
CONFIG = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}

#: How many replicas must have a record before it is acknowledged; Kafka's default of one makes acks=all mean one.
IN_SYNC = "min.insync.replicas"

#: Beyond Kafka's default of 1 MiB: a status or a dead letter is its source record and more.
MAX_MESSAGE = {"max.message.bytes": str(2 * 1024 * 1024)}

#: How long a partition's leader remembers a producer, and the coordinator a transactional id, in ms; at least twice as
#: long as a claim is relied on.
EXPIRATION = "producer.id.expiration.ms"
EXPIRATION_LEAST = int(2 * CLAIM_LASTS * 1000)
ID_EXPIRATION = "transactional.id.expiration.ms"
ID_EXPIRATION_LEAST = int(2 * CLAIM_IS_KNOWN * 1000)

#: A new schema must read every older one: a replay goes back to the first record.
COMPATIBILITY = "BACKWARD_TRANSITIVE"
STRICT_ENOUGH = (COMPATIBILITY, "FULL_TRANSITIVE")

_REGISTRY_TIMEOUT = 5.0
#: The registry's answers to an id that it does not have: no such schema; not an id of its kind.
_UNKNOWN = (400, 404, 422)


class WrongTopic(Exception):
    """A topic, schema or setting of Kafka is not what we need; the text names what differs. No retry helps."""


def load_schema(topic: str) -> dict[str, Any]:
    """The Avro schema of a topic, from schemas/avro."""
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{topic}.avsc").read_text())
    return loaded


@asynccontextmanager
async def admin_client(
    settings: Settings, request_timeout_ms: int = 10_000
) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connected while it lasts; KafkaError, OSError."""
    admin = AIOKafkaAdminClient(**connections.kafka(settings), request_timeout_ms=request_timeout_ms)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def ensure(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    """Make the topics that are missing and check those that exist; WrongTopic, LogUnavailable."""
    try:
        for topic in ALL:
            await create(admin, topic, settings)
        await _check(admin, settings)
    except KafkaError as exc:
        raise LogUnavailable(f"Kafka could not make or describe the topics: {exc!r}") from exc


async def create(admin: AIOKafkaAdminClient, topic: str, settings: Settings) -> None:
    """Make a topic if it is missing; KafkaError, LogUnavailable."""
    config = CONFIG | {IN_SYNC: str(in_sync_at_least(settings.topic_replication))}
    if topic != CREATED:
        config |= MAX_MESSAGE
    count = partitions_of(topic, settings)
    new = NewTopic(topic, count, settings.topic_replication, topic_configs=config)
    try:
        response = await admin.create_topics([new])
    except AttributeError as exc:  # aiokafka, where the broker does not name its controller yet
        raise LogUnavailable("Kafka does not know its controller yet") from exc
    for _, code, *reason in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(*reason)


def partitions_of(topic: str, settings: Settings) -> int:
    """How many partitions the topic is made with."""
    return 1 if topic in IN_ORDER else settings.topic_partitions


async def partitions(admin: AIOKafkaAdminClient, topic: str) -> list[TopicPartition]:
    """The topic's partitions, in order; none when it does not exist."""
    (described,) = await admin.describe_topics([topic])
    return [
        TopicPartition(topic, number) for number in sorted(p["partition"] for p in described["partitions"])
    ]


async def _check(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    described = {topic["topic"]: topic for topic in await admin.describe_topics(list(ALL))}
    counts = {topic: len(described[topic]["partitions"]) for topic in ALL}
    if 0 in counts.values():
        raise LogUnavailable("the topics were made just now, Kafka does not list them yet")
    if counts[CREATED] > counts[STATUS]:
        raise WrongTopic(unequal(counts[CREATED], counts[STATUS]))
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in ALL]
    brokers = (await admin.describe_cluster())["brokers"]
    resources += [ConfigResource(ConfigResourceType.BROKER, str(broker["node_id"])) for broker in brokers]
    for response in await admin.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            found = {entry[0]: entry[1] for entry in entries}
            if name in described:
                replicas = min(len(partition["replicas"]) for partition in described[name]["partitions"])
                check_replicas(name, replicas, settings.topic_replication)
                check_config(name, found, replicas)
            else:
                check_broker(found)


def check_replicas(topic: str, replicas: int, wanted: int) -> None:
    """Whether a topic has as many replicas as it would be made with; WrongTopic if it has fewer."""
    if replicas < wanted:
        raise WrongTopic(
            f"topic {topic} has {replicas} replica{'s' * (replicas > 1)}, fewer than TOPIC_REPLICATION={wanted}: "
            "what is acknowledged is lost with a broker; add replicas (kafka-reassign-partitions) or lower the setting"
        )


def check_config(topic: str, found: Mapping[str, str], replicas: int) -> None:
    """Whether a topic keeps what is acknowledged; WrongTopic names the setting that differs."""
    for name, wanted in CONFIG.items():
        if found.get(name, wanted) != wanted:
            raise WrongTopic(
                f"topic {topic} has {name}={found[name]}, not {wanted}: transactions would be forgotten"
            )
    least = in_sync_at_least(replicas)
    if int(found.get(IN_SYNC, least)) < least:
        raise WrongTopic(
            f"topic {topic} has {IN_SYNC}={found[IN_SYNC]}, less than {least} of its {replicas} replicas: what is "
            f"acknowledged may be on one broker alone; set it: kafka-configs --alter --topic {topic} "
            f"--add-config {IN_SYNC}={least}"
        )


def check_broker(found: Mapping[str, str]) -> None:
    """Whether a broker remembers for long enough which producers are fenced; WrongTopic if not."""
    for name, least in ((EXPIRATION, EXPIRATION_LEAST), (ID_EXPIRATION, ID_EXPIRATION_LEAST)):
        if (remembers := int(found.get(name, least))) < least:
            raise WrongTopic(
                f"the brokers have {name}={remembers}, less than {least}: a worker that was paused could "
                f"publish what another has decided meanwhile; set it: kafka-configs --alter --entity-type brokers "
                f"--entity-default --add-config {name}={least}"
            )


def in_sync_at_least(replicas: int) -> int:
    """All but one, so that one broker may die and each acknowledged record is on another."""
    return max(1, replicas - 1)


def unequal(created: int, status: int) -> str:
    """What is wrong with a pair of topics that have these numbers of partitions, or what is going on."""
    if created < status:
        return (
            f"{CREATED} has {created} partitions, {STATUS} {status} already: partitions are being added; if nothing "
            f"more happens: make partitions COUNT={status}"
        )
    return (
        f"{CREATED} has {created} partitions, {STATUS} only {status}: a status goes into the partition of its record's "
        "number; add the missing ones"
    )


async def register(settings: Settings, topic: str) -> Codec:
    """Register the topic's schema (again: no change) and give its codec; LogUnavailable, WrongTopic."""
    return await asyncio.to_thread(register_now, settings, topic)


def register_now(settings: Settings, topic: str) -> Codec:
    """The same, blocking: for a command that does nothing else."""
    client, subject, ours = _client(settings), f"{topic}-value", schema.AvroSchema(load_schema(topic))
    schema_id = _asked(settings, lambda: _registered(client, subject, ours))
    _asked(settings, lambda: keep_compatible(client, subject))
    return Codec(load_schema(topic), schema_id, _fetch(client, settings))


async def reader(settings: Settings, topic: str) -> Codec:
    """A codec that decodes the topic's records, for commands that only look: it changes nothing in the registry."""
    client, subject, ours = _client(settings), f"{topic}-value", schema.AvroSchema(load_schema(topic))
    known = await asyncio.to_thread(_asked, settings, lambda: client.check_version(subject, ours))
    return Codec(load_schema(topic), known and known.schema_id, _fetch(client, settings))


def _client(settings: Settings) -> SchemaRegistryClient:
    # Below that it logs each request, with its URL and the password in it.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    url = settings.schema_registry_url.get_secret_value()
    client = SchemaRegistryClient(url, timeout=httpx.Timeout(_REGISTRY_TIMEOUT))
    client.client_kwargs["trust_env"] = False  # a neighbour: proxies are for the world outside
    client.client_kwargs["event_hooks"] = {"response": [_raise_refusal]}
    parts = urlsplit(url)
    if parts.username:  # the library takes %2F for three characters of a password
        client.client_kwargs["auth"] = httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
    if connections.registry_uses_tls(settings):
        client.client_kwargs["verify"] = connections.tls_context(settings)
    return client


def _raise_refusal(response: httpx.Response) -> None:
    """The library would look for JSON in it."""
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        response.raise_for_status()


def _fetch(client: SchemaRegistryClient, settings: Settings) -> Fetch:
    async def fetch(schema_id: int) -> Any:
        found = await asyncio.to_thread(_asked, settings, lambda: _found(client, schema_id))
        return None if found is None else schema_in(found, schema_id)

    return fetch


def keep_compatible(client: SchemaRegistryClient, subject: str) -> None:
    """The subject's level is COMPATIBILITY or stricter; one that somebody has set so is left as it is."""
    if _level(client, subject) not in STRICT_ENOUGH:
        try:
            client.update_compatibility(COMPATIBILITY, subject)
        except ClientError as exc:
            raise LogUnavailable(
                f"{subject} does not have its compatibility level yet, which is normal while two workers start for the "
                f"first time (the registry answered {exc.http_code})"
            ) from exc


def _level(client: SchemaRegistryClient, subject: str) -> str:
    try:
        return str(client.get_compatibility(subject))
    except ClientError as exc:
        if exc.http_code != httpx.codes.NOT_FOUND:
            raise
        return str(client.get_compatibility())  # none of its own: the registry's


def _found(client: SchemaRegistryClient, schema_id: int) -> Any:
    """What the registry has under an id, as it says it: the client's own call parses it, and raises from inside."""
    url, method = client.url_manager.url_for("get_by_id", schema_id=schema_id)
    response = client.request(url, method)
    if response.status_code in _UNKNOWN:
        return None
    try:
        found = response.json()
    except ValueError:
        found = None
    if response.status_code != httpx.codes.OK or not isinstance(found, dict) or "schema" not in found:
        raise ClientError(f"no schema for id {schema_id}", http_code=response.status_code)
    return found


def schema_in(found: Mapping[str, Any], schema_id: int) -> Any:
    """The Avro schema of the registry's answer; Poison when it is something else."""
    kind = found.get("schemaType", "AVRO")
    if kind != "AVRO":
        raise Poison(f"schema {schema_id} is a {kind} schema, not Avro")
    if found.get("references"):
        raise Poison(f"schema {schema_id} refers to other schemas of the registry: not read here")
    return json.loads(found["schema"])


def _registered(client: SchemaRegistryClient, subject: str, ours: schema.AvroSchema) -> int:
    try:
        return int(client.register(subject, ours))
    except ClientError as exc:
        # A refusal may also be another worker's start at the same moment: only the check can say.
        if exc.http_code in (409, 422) and not _is_compatible(client, subject, ours):
            raise WrongTopic(f"the registry refuses our schema of {subject} as incompatible: {exc}") from exc
        raise


def _is_compatible(client: SchemaRegistryClient, subject: str, ours: schema.AvroSchema) -> bool:
    versions = client.get_versions(subject)
    return all(client.test_compatibility(subject, ours, version=str(version)) for version in versions)


def _asked(settings: Settings, call: Any) -> Any:
    try:
        return call()
    except (ClientError, httpx.HTTPError, OSError, ValueError) as exc:  # ValueError: what it says is not JSON
        where = without_secrets(settings.schema_registry_url)
        why = _refused(settings, exc) or f"answered: {exc!r}"
        raise LogUnavailable(f"the schema registry at {where} {why}") from exc


def _refused(settings: Settings, exc: Exception) -> str | None:
    """Where it does not take us, why."""
    if isinstance(exc, httpx.HTTPStatusError):
        return "refuses us: see the name and the password in SCHEMA_REGISTRY_URL"
    if isinstance(exc, httpx.TransportError):
        url = settings.schema_registry_url.get_secret_value()
        if why := connections.look(url, settings, "SCHEMA_REGISTRY_URL"):
            return f"cannot be used: {why}"
    return None

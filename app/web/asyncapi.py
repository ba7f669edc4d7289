"""AsyncAPI 3 for the topics, made of the Avro schemas that the records have."""

from __future__ import annotations

from typing import Any

from app.messaging import dead_letters, growth, topics
from app.models.transaction import ID_HEADER
from app.settings import Settings
from app.web.openapi import VERSION

AVRO = "application/vnd.apache.avro+json;version=1.9.0"

ABOUT = {
    topics.CREATED: "What was requested: one record per transaction, written before the POST is answered with 201.",
    topics.STATUS: "What was decided: the whole transaction with its assessment, one record per revision; the highest "
    "revision counts.",
    topics.LABEL: "What somebody said of a transaction who learnt it later, fraud or genuine: one record per label; of "
    "several of a transaction the one with the highest labelled_at counts.",
    topics.MERCHANT_TOTALS: "What merchants did in a stretch of another topic, by day: by it the transactions of later "
    "days are assessed.",
    topics.DEAD_LETTER: "Records of transaction_created that cannot be processed, with the original key, bytes and "
    "headers, and the reason.",
}
#: In each partition a customer's transactions are in order; their statuses are in the one of the same number.
KEYS = {
    topics.CREATED: "customer_id",
    topics.STATUS: "transaction_id",
    topics.LABEL: "transaction_id",
    topics.MERCHANT_TOTALS: "the source and its partition",
    topics.DEAD_LETTER: "the record's own",
}

CREATED_HEADERS = {
    ID_HEADER: "the transaction_id; where it is missing (another producer, or an old record), the key is the id"
}
STATUS_HEADERS = {
    growth.HEADER: "of the first status in an added partition, as JSON: `count`, how many partitions there were then; "
    "`until`, pairs of a partition and an offset, up to which that one has the earlier statuses of its customers"
}
#: Texts in UTF-8, also where they are numbers.
DEAD_LETTER_HEADERS = {
    "topic": "the topic the record came from",
    "partition": "its partition there",
    "offset": "its offset there",
    "reason": "why it cannot be processed",
    "failed_at": "when, in milliseconds since 1970",
}
SOMETIMES = {
    dead_letters.FORM: "gzip: the value is compressed; cut: only its beginning is here",
    dead_letters.BYTES: "bytes of the original value, if it is compressed or cut",
    dead_letters.SHA256: "SHA-256 of the original value, likewise",
    dead_letters.NEXT: "the value is a whole unreadable batch; the offset where its partition goes on",
}


def document(settings: Settings) -> dict[str, Any]:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Payments: topics",
            "version": VERSION,
            "description": "Values are Avro in the Confluent wire format (a zero byte, four bytes of schema id, the "
            "record). Topics are kept for ever and never compacted: they are the source of truth.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "avro/binary",
        "channels": {topic: _channel(topic, topics.partitions_of(topic, settings)) for topic in topics.ALL},
        "operations": {f"receive_{topic}": _receive(topic) for topic in topics.ALL},
        "components": {"messages": {topic: _message(topic) for topic in topics.ALL}},
    }


def _channel(topic: str, partitions: int) -> dict[str, Any]:
    return {
        "address": topic,
        "description": ABOUT[topic],
        "messages": {topic: {"$ref": f"#/components/messages/{topic}"}},
        "bindings": {
            "kafka": {
                "partitions": partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": -1,
                    "retention.bytes": -1,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _receive(topic: str) -> dict[str, Any]:
    """What a reader may do; to write is the bff's and the worker's."""
    channel = f"#/channels/{topic}"
    return {
        "action": "receive",
        "channel": {"$ref": channel},
        "summary": f"Read {topic}",
        "messages": [{"$ref": f"{channel}/messages/{topic}"}],
    }


def _message(topic: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": topic,
        "summary": ABOUT[topic],
        "bindings": {
            "kafka": {"key": {"type": "string", "description": KEYS[topic]}, "bindingVersion": "0.5.0"}
        },
    }
    if topic == topics.DEAD_LETTER:
        texts = {dead_letters.PREFIX + name: text for name, text in DEAD_LETTER_HEADERS.items()}
        message["contentType"] = "application/octet-stream"
        message["headers"] = _headers(texts | SOMETIMES) | {"required": list(texts)}
        return message
    if topic == topics.CREATED:
        message["headers"] = _headers(CREATED_HEADERS)
    if topic == topics.STATUS:
        message["headers"] = _headers(STATUS_HEADERS)
    message["payload"] = {"schemaFormat": AVRO, "schema": topics.load_schema(topic)}
    return message


def _headers(texts: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in texts.items()},
    }

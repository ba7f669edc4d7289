"""The bff's job by FastAPI and aiokafka, as their docs teach it: `uvicorn benchmarks.peers.web_fastapi:app`.

The models, the codec and the Redis client are the app's, so only what is around them differs: FastAPI and Uvicorn in
place of Faust's web views. It has less to do than the bff: no metrics, no bounds for clients and for what is in flight,
no Idempotency-Key, no Cassandra behind Redis, no agent that reads statuses.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from fastapi import FastAPI, HTTPException, Query, Response

from app.messaging import topics
from app.models.status import sort_key
from app.models.transaction import TransactionRequest, new_transaction
from app.read_model.pending_writer import PendingWriter
from app.resources import freeze_gc
from app.settings import settings
from app.stores.recent_transactions import RecentTransactions

PATH = "/api/v1/transactions"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what the routes use, close it at the end."""
    values = settings()
    recent = RecentTransactions(values)
    await recent.open()
    pending = PendingWriter(recent)
    producer = AIOKafkaProducer(bootstrap_servers=values.kafka_brokers, acks="all", enable_idempotence=True)
    await producer.start()
    app.state.producer, app.state.recent, app.state.pending = producer, recent, pending
    app.state.codec = await topics.register(values, topics.CREATED)
    app.state.outage_timeout = values.publish_timeout
    notes = asyncio.create_task(pending.run())
    freeze_gc()
    yield
    notes.cancel()
    await producer.stop()
    await recent.close()


app = FastAPI(lifespan=lifespan)


@app.post(PATH)
async def post(request: TransactionRequest) -> Response:
    """201 once Kafka has acknowledged the record."""
    state, transaction = app.state, new_transaction(request)
    transaction_id = transaction["transaction_id"]
    try:
        async with asyncio.timeout(state.outage_timeout):
            await state.producer.send_and_wait(
                topics.CREATED, state.codec.encode(transaction), transaction_id.encode()
            )
    except (KafkaError, TimeoutError) as exc:
        raise HTTPException(503, "not acknowledged") from exc
    state.pending.add(transaction)
    return _json(f'{{"transaction_id": "{transaction_id}"}}', 201)


@app.get(PATH)
async def newest(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """The newest, from Redis."""
    page = await app.state.recent.newest(limit, None)
    return _json(f'{{"transactions": [{", ".join(page.entries)}]}}')


@app.get(PATH + "/{transaction_id}")
async def find(transaction_id: str) -> Response:
    """One by its id, from Redis."""
    found = await app.state.recent.find(sort_key(transaction_id, 0))
    if found is None:
        raise HTTPException(404, "no such transaction")
    return _json(found)


def _json(text: str, status: int = 200) -> Response:
    """Ready JSON: quicker than to let FastAPI make it."""
    return Response(text, status, media_type="application/json")

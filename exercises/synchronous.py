"""The same POST done synchronously: assess, store, answer (`python -m exercises.synchronous PORT`).

The app's own clients of antifraud and Cassandra, with a separate keyspace, so that the pipeline's tables hold
nothing that is not in the log. No Kafka: what fails here has failed for the client.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web
from pydantic import ValidationError

from app.assessment.client import Antifraud
from app.errors import Transient
from app.models.status import decided
from app.models.transaction import TransactionRequest, new_transaction
from app.settings import settings
from app.stores.cassandra import Cassandra, ddl
from app.stores.consistency import bound_at
from app.stores.transactions_table import INSERT, by_partition, row_of

KEYSPACE = "synchronous"


class Server:
    """One POST after the other does all of its work before it answers."""

    def __init__(self) -> None:
        self._settings = settings()
        self._antifraud = Antifraud(self._settings)
        self._cassandra = Cassandra(self._settings)

    async def opened(self, _: web.Application) -> AsyncIterator[None]:
        """Its keyspace is created at the start and dropped at the end."""
        await self._antifraud.open()
        await self._cassandra.open()
        for statement in ddl(self._settings.cassandra_replication, scylla=False)[:3]:
            await self._cassandra.run(_own(statement), 30)
        yield
        await self._cassandra.run(f"DROP KEYSPACE IF EXISTS {KEYSPACE}", 30)
        await self._cassandra.close()
        await self._antifraud.close()

    async def post(self, request: web.Request) -> web.Response:
        """201 with the verdict, 400, or 503 when antifraud or Cassandra does not answer."""
        try:
            transaction = new_transaction(TransactionRequest.model_validate_json(await request.read()))
            (assessment,) = await self._antifraud.assess([transaction])
            status = decided(transaction, assessment, 0, 0, transaction["event_timestamp"] * 1000)
            ((partition, (row,)),) = by_partition([status]).items()
            insert = await self._cassandra.prepare(_own(INSERT))
            statement_at = partial(bound_at, insert, row_of(partition, row))
            await self._cassandra.write(statement_at, self._settings.cassandra_timeout)
        except ValidationError as exc:
            return web.json_response({"error": f"Invalid request payload: {exc}"}, status=400)
        except Transient as exc:
            return web.json_response({"error": str(exc)}, status=503)
        answer = {"transaction_id": status["transaction_id"], "status": status["status"]}
        return web.json_response(answer, status=201)


def _own(statement: str) -> str:
    """The app's statement, in this server's keyspace."""
    return statement.replace("transactions.", f"{KEYSPACE}.").replace(
        "EXISTS transactions\n", f"EXISTS {KEYSPACE}\n"
    )


def main() -> None:
    """Serve until SIGTERM."""
    server, app = Server(), web.Application()
    app.cleanup_ctx.append(server.opened)
    app.router.add_post("/api/v1/transactions", server.post)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()

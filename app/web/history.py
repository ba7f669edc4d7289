"""GET /api/v1/transactions/{id}/history: a transaction's way, step by step."""

from __future__ import annotations

import json

import faust
from aiohttp import web
from faust.web import View

from app.errors import LogUnavailable
from app.live.history import History
from app.web.answers import invalid, not_found
from app.web.openapi import operation
from app.web.paging import check_parameters
from app.web.problems import unavailable
from app.web.transaction_operations import HISTORY
from app.web.transactions import PATH
from app.web.validation import InvalidRequest, check_id


def register(app: faust.App, history: History) -> None:
    """Put the view on the app."""

    @app.page(PATH + "/{transaction_id}/history", name="history")
    class TransactionHistory(View):
        """GET the way of one."""

        @operation(HISTORY)
        async def get(self, request: web.Request, transaction_id: str) -> web.Response:
            """200 with the steps; 400, 404, 503."""
            try:
                check_parameters(request.query)
                check_id(transaction_id)
                found = await history.of(transaction_id)
                if found is None and (lower := transaction_id.lower()) != transaction_id:
                    found = await history.of(lower)
            except InvalidRequest as exc:
                return invalid(exc)
            except LogUnavailable as exc:
                return unavailable(
                    "Log unavailable", "Kafka does not answer, and the steps are in the log", exc
                )
            if found is None:
                return not_found(transaction_id)
            return web.Response(body=json.dumps(found).encode(), content_type="application/json")

    del TransactionHistory  # the app holds it

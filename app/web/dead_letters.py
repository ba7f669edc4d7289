"""Dead letters over HTTP: the newest, and sent back once their cause is fixed."""

from __future__ import annotations

import re

import faust
from aiohttp import web
from faust.web import View

from app.errors import LogUnavailable
from app.system.dead_letters import ALL, AtWork, CannotBeSentBack, DeadLetters, NoSuchDeadLetter, NotAllSent
from app.web.answers import invalid
from app.web.cors import is_foreign
from app.web.openapi import operation
from app.web.paging import check_parameters
from app.web.problems import problem, unavailable
from app.web.system_operations import DEAD_LETTERS, SEND_BACK
from app.web.validation import InvalidRequest, check_content_type

PATH = "/api/v1/dead-letters"
_PLACE = re.compile(rf"\d{{1,9}}:\d{{1,18}}|{ALL}", re.ASCII)


def register(app: faust.App, dead_letters: DeadLetters) -> None:
    """Put the views on the app."""

    @app.page(PATH, name="dead_letters")
    class Newest(View):
        """What could not be processed and was not sent back."""

        @operation(DEAD_LETTERS)
        async def get(self, request: web.Request) -> web.Response:
            """See `newest`."""
            return await newest(dead_letters, request)

    @app.page(PATH + "/{place}/send-back", name="send_back")
    class SendBack(View):
        """Into transaction_created, once more."""

        @operation(SEND_BACK)
        async def post(self, request: web.Request, place: str) -> web.Response:
            """See `send_back`."""
            return await send_back(dead_letters, request, place)

    del Newest, SendBack  # the app holds them


async def newest(dead_letters: DeadLetters, request: web.Request) -> web.Response:
    """200 with the newest that were not sent back; 400, 503."""
    try:
        check_parameters(request.query)
        return web.json_response(await dead_letters.newest())
    except InvalidRequest as exc:
        return invalid(exc)
    except LogUnavailable as exc:
        return unavailable("Log unavailable", "Kafka does not answer", exc)


async def send_back(dead_letters: DeadLetters, request: web.Request, place: str) -> web.Response:
    """202 with how many; 400, 403, 404, 409, 503."""
    if is_foreign(request):
        return problem(403, "Foreign origin", "only pages of this server may send dead letters back")
    try:
        check(request, place)
        count = await dead_letters.send_back(place)
    except InvalidRequest as exc:
        return invalid(exc)
    except NoSuchDeadLetter as exc:
        return problem(404, "No such dead letter", str(exc))
    except CannotBeSentBack as exc:
        return problem(409, "Cannot be sent back", str(exc))
    except AtWork as exc:
        return problem(409, "Already sending back", str(exc), headers={"Retry-After": "1"})
    except LogUnavailable as exc:
        detail = str(exc) if isinstance(exc, NotAllSent) else "Kafka does not answer"
        return unavailable("Log unavailable", detail, exc)
    return web.json_response({"sent_back": count}, status=202)


def check(request: web.Request, place: str) -> None:
    """InvalidRequest. A form of another site cannot name JSON as its content, so that a call must name it."""
    check_parameters(request.query)
    if "Content-Type" not in request.headers:
        raise InvalidRequest([{"field": "Content-Type", "reason": "must be application/json"}])
    check_content_type(request)
    if not _PLACE.fullmatch(place):
        raise InvalidRequest([{"field": "id", "reason": "must be PARTITION:OFFSET, as in the list, or all"}])

"""Who answers: the bff, the bare handler and FastAPI, the latter two started for as long as they are measured."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from benchmarks.sides import Peer
from generator.client import PATH
from reconciliation import readers

BFF, BARE, FASTAPI = "bff", "bare aiohttp handler", "FastAPI + aiokafka"
SIDES = (BARE, FASTAPI, BFF)
PORTS = {BARE: 5091, FASTAPI: 5092}
START_WITHIN = 30.0
UVICORN = ("--no-access-log", "--log-level", "warning", "--loop", "asyncio", "--http", "httptools")


@asynccontextmanager
async def all_sides(paths: Sequence[str]) -> AsyncIterator[Mapping[str, str]]:
    """The address of each side; the bare handler answers `paths` as the bff does now."""
    bare = (str(PORTS[BARE]), readers.bff_url(), *paths)
    fastapi = ("benchmarks.peers.web_fastapi:app", "--port", str(PORTS[FASTAPI]), *UVICORN)
    peers = (
        Peer(BARE, "peer-web-bare", module="benchmarks.peers.web_bare", arguments=bare),
        Peer(FASTAPI, "peer-web-fastapi", module="uvicorn", arguments=fastapi),
    )
    urls = {peer.title: f"http://127.0.0.1:{PORTS[peer.title]}" for peer in peers}
    try:
        for peer in peers:
            peer.start()
        await asyncio.gather(*(_until_it_answers(urls[peer.title] + paths[0], peer) for peer in peers))
        yield {BFF: readers.bff_url()} | urls
        for peer in peers:
            peer.check()
    finally:
        for peer in peers:
            await asyncio.to_thread(peer.stop)


async def _until_it_answers(url: str, peer: Peer) -> None:
    async with asyncio.timeout(START_WITHIN), aiohttp.ClientSession() as session:
        while True:
            peer.check()
            try:
                async with session.get(url) as response:
                    response.raise_for_status()
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def differences(urls: Mapping[str, str], one: str) -> list[str]:
    """Which sides do not answer as the bff does: the newest, and `one` by its id."""
    found = []
    async with aiohttp.ClientSession() as session:
        for path in (PATH, one):
            answers = {name: await _asked(session, url + path) for name, url in urls.items()}
            found += [
                f"{name} answers GET {path} otherwise than the bff"
                for name, answer in answers.items()
                if answer.get("transactions", answer) != answers[BFF].get("transactions", answers[BFF])
            ]
    return found


async def _asked(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url) as response:
        response.raise_for_status()
        answer: dict[str, Any] = json.loads(await response.read())
        return answer

"""Who answers: the bff, the bare handler and FastAPI, the latter two started for as long as they are measured."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from benchmarks import environment
from generator.client import PATH
from infra.native import orphans
from infra.native.paths import CODE, ROOT
from reconciliation import readers

BFF, BARE, FASTAPI = "bff", "bare aiohttp handler", "FastAPI + aiokafka"
PORTS = {BARE: 5091, FASTAPI: 5092}
START_WITHIN = 30.0
STOP_WITHIN = 10.0


@asynccontextmanager
async def all_sides(paths: Sequence[str]) -> AsyncIterator[Mapping[str, str]]:
    """The address of each side; the bare handler answers `paths` as the bff does now."""
    commands = {
        BARE: [
            sys.executable, "-m", "benchmarks.peers.web_bare", str(PORTS[BARE]), readers.bff_url(), *paths,
        ],
        FASTAPI: [
            str(environment.PYTHON), "-m", "uvicorn", "benchmarks.peers.web_fastapi:app", "--port",
            str(PORTS[FASTAPI]), "--no-access-log", "--log-level", "warning", "--loop", "asyncio",
            "--http", "httptools",
        ],
    }  # fmt: skip
    urls = {BFF: readers.bff_url()} | {name: f"http://127.0.0.1:{port}" for name, port in PORTS.items()}
    async with AsyncExitStack() as running:
        for name, command in commands.items():
            await running.enter_async_context(_process(name, command))
        await asyncio.gather(*(_until_it_answers(url, paths[0]) for url in urls.values()))
        yield urls


@asynccontextmanager
async def _process(name: str, command: Sequence[str]) -> AsyncIterator[None]:
    # The mark of the stack: `make down` ends it too, should this be killed.
    marks = {orphans.STACK: str(ROOT), orphans.PART: name}
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | marks, cwd=CODE)
    try:
        yield
        if process.returncode is not None:
            raise SystemExit(f"{name} ended by itself with {process.returncode} (see above)")
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _until_it_answers(url: str, path: str) -> None:
    async with asyncio.timeout(START_WITHIN), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url + path) as response:
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

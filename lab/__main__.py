"""`make lab`: starts the stack if it is not up, prints a link, and serves the page with hands until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

from infra.native import interrupts, ports, stack
from infra.native.ports import Endpoint
from infra.native.wording import Parser, WrongWord, run
from lab import guard
from lab.api import Api
from lab.hands import Hands
from lab.links import Links
from lab.load import Load
from lab.proxy import Proxy
from lab.runs import Runs
from lab.server import HOST, serving

#: Threads that wait for a part to end, or ask the parts whether they are ready.
AT_A_TIME = 32
LOOKS_APART = 2.0  # seconds


def port() -> int:
    """The setting LAB_PORT; WrongWord."""
    text = ports.setting("LAB_PORT", "5050")
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise WrongWord(f"LAB_PORT={text} is not a port")
    return int(text)


def wired() -> Api:
    """The lab on the running stack. What it starts inherits the environment as it is now."""
    environment = dict(os.environ)
    hands = Hands(lambda name: links.started_with(name))
    links = Links(lambda name: hands.act(name, "restart"))
    return Api(hands, links, Load(environment), Runs(environment))


def stack_now() -> str:
    """What is left when the lab ends."""
    return "the stack goes on as it is: make ps, make down" if stack.is_up() else "nothing is up"


async def watch() -> None:
    """Say when the stack goes down, and when it is up again: make down knows nothing of the lab."""
    was_up = True
    while True:
        await asyncio.sleep(LOOKS_APART)
        is_up = await asyncio.to_thread(stack.is_up)
        if is_up != was_up:
            said = "up again" if is_up else "down; the lab goes on: make up, or Ctrl-C here"
            print(f"the stack is {said}", flush=True)
        was_up = is_up


async def serve(at: int) -> None:
    """Until it is cancelled."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_A_TIME))
    api, token = wired(), guard.new_token()
    async with serving(api, Proxy(f"http://{ports.endpoints('bff')[0]}"), token, at):
        print(f"\nThe lab: http://{HOST}:{at}/#token={token}")
        print(
            "The link is for you alone: who has it can kill your processes. Ctrl-C ends the lab.", flush=True
        )
        try:
            await watch()
        finally:
            interrupts.mute_if_unheard()
            await api.end()


def main() -> None:
    """Start what is missing, serve, and leave the stack as it is."""
    Parser(prog="python -m lab", description=__doc__).parse_args()
    at = port()
    if ports.in_use(Endpoint(HOST, at)):
        raise SystemExit(f"port {at} is in use; say another one: make lab LAB_PORT=5051")
    with interrupts.alike():
        if not stack.is_up():
            stack.up()
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(at))
        interrupts.mute_if_unheard()
        print(f"\nthe lab has ended; {stack_now()}", flush=True)


if __name__ == "__main__":
    run(main)

"""A TCP relay between a part and its clients: it delays the answers, or takes bytes and passes nothing on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

CHUNK = 65536
#: Chunks on their way in one direction of one connection: beyond them the sender waits.
ON_THEIR_WAY = 256


class Relay:
    """Relays TCP from a free port of 127.0.0.1 to `target`; `delay` and `silent` may change at any time."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.delay = 0.0  # seconds that each answer is late
        self.silent = False  # connections stay open and bytes are dropped, as behind a broken network
        self._target = target
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Take connections; those made before have waited."""
        self._server = await asyncio.start_server(self._accept, sock=self._socket)

    def close(self) -> None:
        """Take no more; connections that are there go on."""
        if self._server:
            self._server.close()

    async def serve(self, enough: threading.Event) -> None:
        """Until `enough`."""
        await self.open()
        await asyncio.to_thread(enough.wait)
        self.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lossy = asyncio.Event()
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            ways = [
                asyncio.ensure_future(self._pass(reader, there_writer, lossy, answers=False)),
                asyncio.ensure_future(self._pass(there_reader, writer, lossy, answers=True)),
            ]
            await asyncio.wait(ways, return_when="FIRST_COMPLETED")
            for way in ways:
                way.cancel()
            there_writer.close()
        writer.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lossy: asyncio.Event,
        *,
        answers: bool,
    ) -> None:
        """One direction, in order, until its end. A connection that has lost bytes ends with the silence."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(ON_THEIR_WAY)
        writing = asyncio.ensure_future(_write(queue, writer))
        clock = asyncio.get_running_loop().time
        try:
            while data := await reader.read(CHUNK):
                if self.silent:  # what comes while it is silent is gone
                    lossy.set()
                elif lossy.is_set():
                    return
                else:
                    await queue.put((clock() + (self.delay if answers else 0.0), data))
            await queue.join()
        except OSError:
            return
        finally:
            writing.cancel()


async def _write(queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    """Each chunk when it is due."""
    clock = asyncio.get_running_loop().time
    while True:
        due, data = await queue.get()
        if (wait := due - clock()) > 0:
            await asyncio.sleep(wait)
        with contextlib.suppress(OSError):  # the reader of the other direction notices the end
            writer.write(data)
            await writer.drain()
        queue.task_done()

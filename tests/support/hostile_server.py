"""A TCP server that answers HTTP requests with any bytes, quickly, slowly or without an end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Script = Callable[["Call"], Awaitable[None]]


@dataclass
class Call:
    """One request: its head and body, its number on this connection, and where to write."""

    head: bytes
    body: bytes
    number: int
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_for_ever(self, data: bytes, every_s: float = 0.0) -> None:
        while True:
            await self.send(data)
            await asyncio.sleep(every_s)


@dataclass
class HostileServer:
    """``script`` answers each request. ``sent`` counts the bytes that the system took."""

    script: Script
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    ended: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                call = Call(head, await reader.readexactly(length), number, writer)
                number += 1
                self.calls.append(call)
                await self.script(call)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.ended += 1


@asynccontextmanager
async def hostile(script: Script) -> AsyncIterator[HostileServer]:
    """A server on a free port of this machine."""
    mean = HostileServer(script)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(mean.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    mean.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield mean
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answers(raw: bytes, *, close: bool = False) -> Script:
    """Always ``raw``."""

    async def script(call: Call) -> None:
        await call.send(raw)
        if close:
            call.writer.close()

    return script

"""The CONNECT proxy in front of the fake server: only WhatsApp's own hosts, and all of them lead to loopback."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.fake_whatsapp.faults import Faults

CHUNK = 65_536
DIAL_LIMIT_S = 10


class Proxy:
    """Listens on a random loopback port; `counts` tells how many CONNECTs came and to which host."""

    def __init__(self, faults: Faults, target_port: int) -> None:
        self.faults = faults
        self.counts: Counter[str] = Counter()
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the proxy is not started")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=1024)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._pipes):
            task.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._pipes.add(task)
        try:
            await self._relay(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, IndexError):
            self.counts["broken"] += 1
        except asyncio.CancelledError:
            self.counts["cut"] += 1  # only `stop` cancels; the stream server would report it as a fault
        finally:
            if task is not None:
                self._pipes.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(DIAL_LIMIT_S):
            head = await reader.readuntil(b"\r\n\r\n")
        host = head.split()[1].decode().rpartition(":")[0]
        self.counts["connects"] += 1
        self.counts[host] += 1
        allowed = host == "web.whatsapp.com" or host.endswith(".whatsapp.net")
        if self.faults.refuse_proxy or not allowed:
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            await writer.drain()
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()

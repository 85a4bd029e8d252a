"""Resolves host names in threads of its own, bounded in number and time.

The default executor of asyncio also reads journals and files. Name servers that do not answer
would fill it, so no look-up runs there.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
LookUp = Callable[[str, socket.AddressFamily], list[AddressInfo]]

TIMEOUT_S = 5.0
# Names that resolved before have threads of their own: names that never did cannot delay them.
KNOWN_AT_ONCE = 8
UNKNOWN_AT_ONCE = 16
# A look-up cannot be stopped. One that is overdue keeps its thread, up to this many in all.
THREADS = 64
REMEMBERED = 1024


def _look_up(host: str, family: socket.AddressFamily) -> list[AddressInfo]:
    return socket.getaddrinfo(host, None, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)  # type: ignore[return-value]


class NameResolver(AbstractResolver):
    """One event loop's resolver. ``keep_s``: how long an answer is used again, in seconds.

    Raises ``socket.gaierror``: EAI_AGAIN when no answer came within ``timeout_s``.
    """

    def __init__(self, *, keep_s: float = 0.0, timeout_s: float = TIMEOUT_S, look_up: LookUp = _look_up) -> None:
        self._keep_s, self._timeout_s, self._look_up = keep_s, timeout_s, look_up
        self._running: dict[tuple[str, int], asyncio.Future[list[AddressInfo]]] = {}
        self._kept: OrderedDict[tuple[str, int], tuple[float, list[AddressInfo]]] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._slots = {True: asyncio.Semaphore(KNOWN_AT_ONCE), False: asyncio.Semaphore(UNKNOWN_AT_ONCE)}
        self._threads = 0

    async def addresses(self, host: str, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[AddressInfo]:
        """What ``getaddrinfo`` returns for ``host``; the ports are 0."""
        key, loop = (host, int(family)), asyncio.get_running_loop()
        kept = self._kept.get(key)
        if kept is not None and kept[0] > loop.time():
            return kept[1]
        running = self._running.get(key)
        if running is None:
            # One look-up for each name at a time, which goes on when its first caller leaves.
            running = asyncio.ensure_future(self._resolve(host, family))
            self._running[key] = running
            running.add_done_callback(lambda done: self._finished(key, done))
        try:
            return await asyncio.shield(running)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer from the name servers in time") from None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host`` as aiohttp wants them."""
        found = await self.addresses(host, family)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=_literal(address), port=port, family=each, proto=protocol, flags=flags)
            for each, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Ends the waits. The threads end with their look-ups and never keep the process."""
        running = list(self._running.values())
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _finished(self, key: tuple[str, int], done: asyncio.Future[list[AddressInfo]]) -> None:
        self._running.pop(key, None)
        if done.cancelled() or done.exception() is not None:
            self._known.pop(key[0], None)
            return
        _remember(self._known, key[0], None)
        if self._keep_s > 0:
            _remember(self._kept, key, (done.get_loop().time() + self._keep_s, done.result()))

    async def _resolve(self, host: str, family: socket.AddressFamily) -> list[AddressInfo]:
        async with asyncio.timeout(self._timeout_s), self._slots[host in self._known]:
            if self._threads >= THREADS:
                raise TimeoutError
            return await self._in_thread(host, family)

    def _in_thread(self, host: str, family: socket.AddressFamily) -> asyncio.Future[list[AddressInfo]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[AddressInfo]] = loop.create_future()

        def settle(found: list[AddressInfo], error: BaseException | None) -> None:
            self._threads -= 1
            if not answer.done() and error is None:
                answer.set_result(found)
            elif not answer.done() and error is not None:
                answer.set_exception(error)

        def run() -> None:
            found: list[AddressInfo] = []
            failed: BaseException | None = None
            try:
                found = self._look_up(host, family)
            except OSError as error:
                failed = error
            except Exception as error:  # a host that is no name, such as an empty label
                failed = socket.gaierror(socket.EAI_NONAME, f"not a host name: {type(error).__name__}")
            try:
                loop.call_soon_threadsafe(settle, found, failed)
            except RuntimeError:  # the loop has ended: no caller waits any more
                pass

        self._threads += 1
        threading.Thread(target=run, name="name-resolver", daemon=True).start()
        return answer


async def fresh_addresses(host: str, port: int) -> list[AddressInfo]:
    """The addresses of ``host``, looked up now, with ``port``. Raises ``socket.gaierror``."""
    found = await _of_loop().addresses(host)
    return [
        (family, kind, protocol, "", (address[0], port, *address[2:])) for family, kind, protocol, _, address in found
    ]


def _of_loop() -> NameResolver:
    loop = asyncio.get_running_loop()
    resolver: NameResolver | None = getattr(loop, "_veilleur_resolver", None)
    if resolver is None:
        resolver = NameResolver()
        loop._veilleur_resolver = resolver  # type: ignore[attr-defined]
    return resolver


def _literal(address: tuple[Any, ...]) -> str:
    """With the zone of a link-local IPv6 address."""
    host = str(address[0])
    if len(address) == 4 and address[3] and "%" not in host:
        return f"{ip_address(host)}%{address[3]}"
    return host


def _remember(table: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > REMEMBERED:
        table.popitem(last=False)

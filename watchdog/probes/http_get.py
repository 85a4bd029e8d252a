"""One HTTP GET: own connection, fresh DNS, TLS by scheme, a few redirects.

Nothing is kept between two pings, and no retry happens here (decision 0024).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import quote, urljoin, urlsplit

import aiohappyeyeballs
import msgspec

from shared.name_resolver import fresh_addresses
from watchdog.probes.http1 import Answer, BadHttp, CutShort, Reader

MAX_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_SECOND_FAMILY_AFTER_S = 0.25  # RFC 8305
_PORTS = {"http": 80, "https": 443}


class RedirectLoop(Exception):
    """More than :data:`MAX_REDIRECTS` redirects."""


class _Request(msgspec.Struct, frozen=True):
    """Address and request bytes, up to the lines about the connection."""

    host: str
    port: int
    tls: bool
    raw: bytes


async def get(url: str, *, headers: str = "", resolve_s: float | None = None) -> Answer:
    """The answer of ``url`` after redirects. Has no time limit of its own.

    ``headers`` are more header lines, each with its end of line. A name that is not resolved within
    ``resolve_s`` is a fault of the resolver (``EAI_AGAIN``), not of the target.
    Raises :class:`BadHttp`, :class:`CutShort`, :class:`RedirectLoop`, ``socket.gaierror``,
    ``ssl.SSLError`` or ``OSError``.
    """
    for _ in range(MAX_REDIRECTS + 1):
        answer = await _exchange(_request(url), headers, resolve_s)
        if answer.status not in _REDIRECTS or not answer.location:
            return answer
        url = _onward(url, answer.location)
    raise RedirectLoop


def request(url: str, headers: str = "", *, close: bool = True) -> bytes:
    """A GET of ``url``, which must be absolute; ``close``: the connection ends with the answer.

    Raises :class:`BadHttp` for an address that is not HTTP.
    """
    return _request(url).raw + _ending(headers, close=close)


def _ending(headers: str, *, close: bool) -> bytes:
    return f"Connection: {'close' if close else 'keep-alive'}\r\n{headers}\r\n".encode()


async def _exchange(request: _Request, headers: str, resolve_s: float | None) -> Answer:
    loop = asyncio.get_running_loop()
    connection = await _connected(await _addresses(request.host, request.port, resolve_s))
    try:
        transport, exchange = await loop.create_connection(
            lambda: _Exchange(request.raw + _ending(headers, close=True), loop.create_future()),
            sock=connection,
            ssl=_tls() if request.tls else None,
            server_hostname=request.host if request.tls else None,
        )
    except BaseException:
        connection.close()
        raise
    try:
        return await exchange.answer
    finally:
        transport.abort()  # a TLS close would wait for a target that may hang


async def _connected(addresses: Sequence[aiohappyeyeballs.AddrInfoType]) -> socket.socket:
    if len(addresses) > 1:
        return await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_SECOND_FAMILY_AFTER_S, interleave=1
        )
    family, kind, protocol, _, address = addresses[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


async def _addresses(host: str, port: int, resolve_s: float | None) -> Sequence[aiohappyeyeballs.AddrInfoType]:
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        try:
            async with asyncio.timeout(resolve_s):
                return await fresh_addresses(host, port)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "the resolver does not answer in time") from None
    address = (host, port, 0, 0) if family is socket.AF_INET6 else (host, port)
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]


class AnswerReader(asyncio.Protocol):
    """Reads one answer from a connection, and sets ``answer``."""

    def __init__(self, answer: asyncio.Future[Answer]) -> None:
        self.answer = answer
        self._reader = Reader()

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        try:
            answer = self._reader.feed(data)
        except BadHttp as error:
            self._fail(error)
            return
        if answer is not None:
            self._complete(answer)

    def _complete(self, answer: Answer) -> None:
        self.answer.set_result(answer)

    def _fail(self, error: Exception) -> None:
        self.answer.set_exception(error)
        # After a failed TLS handshake no one waits for the answer; asyncio would report this error too.
        self.answer.exception()


class _Exchange(AnswerReader):
    """Writes the request once connected."""

    def __init__(self, raw: bytes, answer: asyncio.Future[Answer]) -> None:
        super().__init__(answer)
        self._raw = raw

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._raw)  # type: ignore[attr-defined]  # a stream's transport, always

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer.done():
            return
        if exc is not None:
            self._fail(exc)
            return
        try:
            self.answer.set_result(self._reader.end())
        except CutShort as error:
            self._fail(error)


def _onward(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise BadHttp("a redirect to no address") from None


@lru_cache(maxsize=16)
def _request(url: str) -> _Request:
    try:
        parts = urlsplit(url)
        given = parts.port
    except ValueError:
        raise BadHttp("a redirect to no address") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BadHttp("a redirect to no HTTP address")
    port = given or _PORTS[parts.scheme]
    host = parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.hostname
    shown = f"[{host}]" if ":" in host else host
    if port != _PORTS[parts.scheme]:
        shown += f":{port}"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        path += "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=~-._")
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {shown}",
        "User-Agent: veilleur-watchdog",
        "Accept: application/json",
        "Cache-Control: no-cache",
    ]
    return _Request(host, port, parts.scheme == "https", "\r\n".join([*lines, ""]).encode())


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context

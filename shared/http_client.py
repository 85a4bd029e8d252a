"""Makes the HTTP clients of both programs. Whatever a server answers costs a bounded amount.

No cookies, no unpacking, a limit for the head of an answer, and one resolver. The caller sets a
time limit for the whole request and reads the body with :func:`read`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from shared.name_resolver import NameResolver

HEAD_LIMIT_BYTES = 256 * 1024
FIELD_LIMIT_BYTES = 64 * 1024
FIELDS_LIMIT = 1000
INTERIM_LIMIT = 16
BODY_LIMIT_BYTES = 64 * 1024
REDIRECTS = 3
_SLICE_BYTES = 16 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?![0-9])")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_fresh: ContextVar[bool] = ContextVar("fresh", default=False)


class UnfinishedHead(aiohttp.ClientError):
    """The answer began with ``status``, but its head is too long, broken or never ended."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the head of an answer with status {status} could not be read")
        self.status = status


class StaleConnection(aiohttp.ClientError):
    """The server had closed a kept connection before it could read the request."""


class AnswerTooLarge(ValueError):
    """The body is larger than its limit, or is no JSON where JSON is wanted."""


class _Handler(ResponseHandler):
    """One connection. Bounds what arrives before the body, and drops what no request asked for."""

    def __init__(self, loop: Any) -> None:
        super().__init__(loop)
        self._requests = self._head_bytes = self._interim = 0
        self._begun, self._head_read = b"", False

    def set_response_params(self, **parameters: Any) -> None:
        self._requests += 1
        self._head_bytes = self._interim = 0
        self._begun, self._head_read = b"", False
        super().set_response_params(**parameters)

    @property
    def status_begun(self) -> int | None:
        """The status of an answer before its head is complete."""
        found = _STATUS.match(self._begun)
        return int(found[1]) if found and int(found[1]) >= 200 else None

    @property
    def stale(self) -> bool:
        """Whether this connection served before, and nothing came for the present request."""
        return self._requests > 1 and self._head_bytes == 0

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp goes on with what it has
            super().data_received(data)
        # In slices, so that one read of the socket does not hold the event loop for long.
        for at in range(0, len(data), _SLICE_BYTES):
            piece = data[at : at + _SLICE_BYTES]
            if self._head_read:
                if self._payload is None or self._payload.is_eof():
                    self._refuse("bytes after the answer")
                    return
            else:
                self._head_bytes += len(piece)
                self._begun += piece[: 16 - len(self._begun)]
                if self._head_bytes > HEAD_LIMIT_BYTES:
                    self._refuse("the head is too long")
            if self.transport is None or self.transport.is_closing():
                return
            super().data_received(piece)

    def feed_data(self, data: Any, size: int = 0) -> None:
        code = data[0].code
        if 100 <= code < 200 and code != 101:
            self._interim += 1
            self._begun = b""
            if self._interim > INTERIM_LIMIT:
                self._refuse("too many interim answers")
                return
        elif self._head_read:
            self._refuse("a second answer")
            return
        else:
            self._head_read = True
        super().feed_data(data, size)

    def _refuse(self, why: str) -> None:
        if not self._head_read:
            self.set_exception(HttpProcessingError(code=400, message=why))
        if self.transport is not None:
            self.transport.abort()


class _Response(aiohttp.ClientResponse):
    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        try:
            return await super().start(connection)
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(protocol, _Handler):
                if protocol.status_begun is not None:
                    raise UnfinishedHead(protocol.status_begun) from error
                if protocol.stale and not isinstance(error, TimeoutError):
                    raise StaleConnection from error
            raise


class Connector(aiohttp.TCPConnector):
    """A pool of connections with limits for what arrives; ``options`` are those of aiohttp's."""

    def __init__(self, resolver: NameResolver | None = None, **options: Any) -> None:
        super().__init__(resolver=resolver or NameResolver(), use_dns_cache=False, **options)
        self._own_resolver = resolver is None
        bounded(self)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close the connections, and the resolver unless it was given."""
        await super().close(abort_ssl=abort_ssl)
        if self._own_resolver:
            await self._resolver.close()

    async def _get(self, key: Any, traces: Any) -> Any:
        return None if _fresh.get() else await super()._get(key, traces)


async def _retry_on_a_fresh_connection(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectionResetError:
        pass  # the connection was closed before the request was written
    except StaleConnection:
        # A receiver of webhooks knows a request that it gets twice by its id.
        if request.method not in _IDEMPOTENT and "webhook-id" not in request.headers:
            raise
    token = _fresh.set(True)
    try:
        return await handler(request)
    finally:
        _fresh.reset(token)


def bounded(pool: Any) -> Any:
    """``pool``, an aiohttp connector of any kind, with limits for what arrives."""
    pool._factory = functools.partial(_Handler, loop=pool._loop)
    return pool


def session(pool: aiohttp.BaseConnector, base_url: str | None = None, **options: Any) -> aiohttp.ClientSession:
    """A client that uses ``pool`` and closes it. ``options`` are those of aiohttp's session."""
    headers = {"Accept-Encoding": "identity", **(options.pop("headers", None) or {})}
    return aiohttp.ClientSession(
        base_url,
        connector=pool,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        response_class=_Response,
        middlewares=(_retry_on_a_fresh_connection,),
        max_line_size=FIELD_LIMIT_BYTES,
        max_field_size=FIELD_LIMIT_BYTES,
        max_headers=FIELDS_LIMIT,
        **options,
    )


async def read(answer: aiohttp.ClientResponse, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
    """The whole body. Raises :class:`AnswerTooLarge`, aiohttp's errors or ``TimeoutError``."""
    body = bytearray()
    while piece := await answer.content.read(limit_bytes + 1 - len(body)):
        body += piece
        if len(body) > limit_bytes:
            answer.close()
            raise AnswerTooLarge(f"more than {limit_bytes} bytes")
    return bytes(body)


async def read_json(answer: aiohttp.ClientResponse, limit_bytes: int = BODY_LIMIT_BYTES) -> Any:
    """The body, decoded. Raises what :func:`read` does, and ``ValueError`` for other bodies."""
    return decoded(await read(answer, limit_bytes))


def decoded(body: bytes, type: Any = Any) -> Any:
    """The JSON in ``body``, which may begin with a byte-order mark. Raises ``ValueError``."""
    try:
        return msgspec.json.decode(body.removeprefix(_BYTE_ORDER_MARK), type=type)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not the expected JSON: {error.__class__.__name__}") from None


@asynccontextmanager
async def get_with_redirects(
    http: aiohttp.ClientSession, url: str, timeout: aiohttp.ClientTimeout
) -> AsyncIterator[aiohttp.ClientResponse]:
    """GET ``url``; follows at most :data:`REDIRECTS` redirects, none from https to http.

    A refused redirect is returned as the answer that it is.
    """
    target = URL(url)
    for left in range(REDIRECTS, -1, -1):
        async with http.get(target, timeout=timeout, allow_redirects=False) as answer:
            onward = _onward(target, answer) if left else None
            if onward is None:
                yield answer
                return
        target = onward


def _onward(url: URL, answer: aiohttp.ClientResponse) -> URL | None:
    location = answer.headers.get("Location", "")
    if answer.status not in _REDIRECTS or not location or len(location) > 2000:
        return None
    try:
        onward = url.join(URL(location))
        downgraded = url.scheme == "https" and onward.scheme != "https"
        usable = onward.scheme in ("http", "https") and bool(onward.host)
    except ValueError:
        return None
    return onward if usable and not downgraded else None

"""Files of messages as downloads, which end with the key that asked for them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from bot_service.access.open_requests import OpenRequests
from bot_service.access.principals import Principal
from bot_service.domain.file_labels import as_attachment, safe_mime_type
from bot_service.domain.message import Media


class KeptFile(Protocol):
    """A file of a message. ``path`` is where this machine has it, None when it is elsewhere."""

    @property
    def key(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def path(self) -> Path | None: ...

    async def content(self) -> bytes:
        """Raises ``FileNotFoundError`` when it was deleted."""
        ...

    def parts(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` to ``stop``, a part of bounded size at a time."""
        ...


def download(media: Media, file: KeptFile, requests: OpenRequests, who: Principal) -> web.StreamResponse:
    """The ``file`` of ``media``: a browser must not show it as a page of this service."""
    headers = {
        hdrs.CONTENT_TYPE: safe_mime_type(media.mime_type),
        hdrs.CONTENT_DISPOSITION: as_attachment(media.file_name or ""),
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if file.path is not None:
        return _LocalDownload(file.path, headers, requests, who)
    return _Download(file, headers, requests, who)


class _LocalDownload(web.FileResponse):
    def __init__(self, path: Path, headers: dict[str, str], requests: OpenRequests, who: Principal) -> None:
        super().__init__(path, headers=headers)
        self._requests, self._who = requests, who

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        async with self._requests.until_ended(self._who):
            return await super().prepare(request)
        raise _cut(request)


class _Download(web.StreamResponse):
    """Asks for what it sends: the whole file is never in memory, and a range costs only itself."""

    def __init__(self, file: KeptFile, headers: dict[str, str], requests: OpenRequests, who: Principal) -> None:
        super().__init__(headers=headers)
        self._file, self._requests, self._who = file, requests, who

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        async with self._requests.until_ended(self._who):
            return await self._send(request)
        raise _cut(request)

    async def _send(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        # The content of a key never changes.
        tag = f'"{hashlib.sha256(self._file.key.encode()).hexdigest()[:32]}"'
        self.headers[hdrs.ETAG], self.headers[hdrs.ACCEPT_RANGES] = tag, "bytes"
        start, stop = self._range(request, tag)
        self.content_length = stop - start
        writer = await super().prepare(request)
        if request.method != hdrs.METH_HEAD and stop > start:
            async for part in self._file.parts(start, stop):
                await self.write(part)
        await self.write_eof()
        return writer

    def _range(self, request: web.BaseRequest, tag: str) -> tuple[int, int]:
        """What to send, with the status that says so."""
        size = self._file.size
        known = [each.strip().removeprefix("W/") for each in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")]
        if tag in known or "*" in known:
            self.set_status(HTTPStatus.NOT_MODIFIED)
            return 0, 0
        if request.headers.get(hdrs.IF_RANGE, tag) != tag:
            return 0, size
        try:
            wanted = request.http_range
        except ValueError:
            wanted = slice(size, size)
        if (wanted.start, wanted.stop) == (None, None):
            return 0, size
        start, stop, _ = wanted.indices(size)
        if start >= stop:
            self.set_status(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.headers[hdrs.CONTENT_RANGE] = f"bytes */{size}"
            return 0, 0
        self.set_status(HTTPStatus.PARTIAL_CONTENT)
        self.headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{size}"
        return start, stop


def _cut(request: web.BaseRequest) -> ConnectionResetError:
    if request.transport is not None:
        request.transport.abort()
    return ConnectionResetError("the key ended")

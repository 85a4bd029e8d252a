"""Parses one HTTP/1.x response (RFC 9112): status, location, bounded body.

Only what a ping needs: no trailers, no content codings, no second response.
"""

from __future__ import annotations

import re

import msgspec

HEAD_LIMIT = 65_536
BODY_LIMIT = 65_536
CHUNK_LINE_LIMIT = 4096
CHUNKS_LIMIT = 4096
INTERIM_LIMIT = 16

_STATUS_LINE = re.compile(rb"HTTP/1\.\d ([1-9]\d\d)(?: |$)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


class BadHttp(Exception):
    """The bytes are not an HTTP/1.x response; the text says where."""


class CutShort(ConnectionError):
    """The connection ended before the response did."""


class Answer(msgspec.Struct, frozen=True):
    """``body`` has at most :data:`BODY_LIMIT` bytes; it is empty unless the status is 2xx or 503."""

    status: int
    location: str | None
    body: bytes


class _Head(msgspec.Struct, frozen=True):
    status: int
    location: str | None
    length: int | None  # None: chunked, or until the connection ends
    chunked: bool


class Reader:
    """Call ``feed`` with received bytes until it returns an answer, ``end`` at the end.

    The work for each byte is constant, whatever the target sends and in whatever pieces.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: _Head | None = None
        self._searched = 0  # bytes of ``_data`` that hold no end of a head
        self._interim = 0
        self._chunks = _Chunks()

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once complete. Raises :class:`BadHttp`."""
        self._data += data
        while self._head is None:
            end = self._data.find(b"\r\n\r\n", max(0, self._searched - 3))
            if end < 0 or end > HEAD_LIMIT:
                self._expect_http()
                self._searched = len(self._data)
                return None
            found = _head(bytes(self._data[:end]))
            del self._data[: end + 4]
            self._searched = 0
            if found.status >= 200:
                self._head = found
                break
            self._interim += 1  # 1xx: another follows
            if self._interim > INTERIM_LIMIT:
                raise BadHttp("too many interim answers")
        return self._answer(self._head)

    def end(self) -> Answer:
        """The answer that the end of the connection completes. Raises :class:`CutShort`."""
        head = self._head
        if head is None or head.chunked or head.length is not None:
            raise CutShort("the connection ended within the answer" if self._data or head else "no answer")
        return Answer(head.status, head.location, bytes(self._data[:BODY_LIMIT]))

    def _expect_http(self) -> None:
        begin = b"HTTP/1."
        if self._data[: len(begin)] != begin[: len(self._data)]:
            raise BadHttp("no status line")
        if len(self._data) > HEAD_LIMIT:
            raise BadHttp("the header is too long")

    def _answer(self, head: _Head) -> Answer | None:
        bare = not (200 <= head.status < 300 or head.status == 503)
        if bare or head.status == 204 or head.length == 0:
            return Answer(head.status, head.location, b"")
        body, whole = self._data, False
        if head.chunked:
            whole = self._chunks.decode(self._data)
            body = self._chunks.body
        wanted = BODY_LIMIT if head.length is None else min(head.length, BODY_LIMIT)
        return Answer(head.status, head.location, bytes(body[:wanted])) if whole or len(body) >= wanted else None


class _Chunks:
    """Decodes the chunked coding; ``body`` is what was found so far."""

    def __init__(self) -> None:
        self.body = bytearray()
        self._left = 0  # bytes of the chunk that have not arrived
        self._count = 0

    def decode(self, data: bytearray) -> bool:
        """Move the content of ``data`` to ``body``; whether the body is complete."""
        while len(self.body) < BODY_LIMIT:
            if self._left > 2:
                taken = min(len(data), self._left - 2)
                self.body += data[:taken]
                del data[:taken]
                self._left -= taken
            if self._left > 2 or len(data) < self._left:
                return False
            if data[: self._left] != b"\r\n"[: self._left]:
                raise BadHttp("a chunk longer than its length")
            del data[: self._left]
            self._left = 0
            end = data.find(b"\r\n")
            if end < 0 and len(data) <= CHUNK_LINE_LIMIT:
                return False
            line = _CHUNK_LINE.fullmatch(bytes(data[: end + 2])) if 0 < end <= CHUNK_LINE_LIMIT else None
            self._count += 1
            if line is None or self._count > CHUNKS_LIMIT:
                raise BadHttp("a chunk without a length" if line is None else "too many chunks")
            del data[: end + 2]
            size = int(line[1], 16)
            if size == 0:
                return True
            self._left = size + 2  # with the line break after it
        return True


def _head(raw: bytes) -> _Head:
    lines = raw.split(b"\r\n")
    status = _STATUS_LINE.match(lines[0])
    if status is None:
        raise BadHttp("no status line")
    location: str | None = None
    lengths: set[bytes] = set()
    chunked = False
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise BadHttp("a header line without a name")
        match name.lower():
            case b"location":
                location = value.strip().decode("latin-1")
            case b"content-length":
                lengths.update(part.strip() for part in value.split(b","))
            case b"transfer-encoding":
                chunked = value.split(b",")[-1].strip().lower() == b"chunked"
    if chunked or not lengths:
        return _Head(int(status[1]), location, None, chunked)
    length = lengths.pop()
    if lengths or not length.isdigit() or len(length) > 18:
        raise BadHttp("a Content-Length that is no number")
    return _Head(int(status[1]), location, int(length), False)

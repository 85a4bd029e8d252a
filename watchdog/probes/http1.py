"""Parses one HTTP/1.x response (RFC 9112): status, location, bounded body.

Only what a ping needs: no trailers, no content codings, no second response.
"""

from __future__ import annotations

import re

import msgspec

HEAD_LIMIT = 65_536
BODY_LIMIT = 65_536

_STATUS_LINE = re.compile(rb"HTTP/1\.\d ([1-9]\d\d)(?: |$)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


class BadHttp(Exception):
    """The bytes are not an HTTP/1.x response; the text says where."""


class CutShort(ConnectionError):
    """The connection ended before the response did."""


class Answer(msgspec.Struct, frozen=True):
    """``body`` has at most :data:`BODY_LIMIT` bytes; it is empty unless the status is 2xx."""

    status: int
    location: str | None
    body: bytes


class _Head(msgspec.Struct, frozen=True):
    status: int
    location: str | None
    length: int | None  # None: chunked, or until the connection ends
    chunked: bool


class Reader:
    """Call ``feed`` with received bytes until it returns an answer, ``end`` at the end."""

    def __init__(self) -> None:
        self._data = b""
        self._head: _Head | None = None

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once complete. Raises :class:`BadHttp`."""
        self._data += data
        while self._head is None:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                self._expect_http()
                return None
            found = _head(head)
            self._data = rest
            if found.status >= 200:  # 1xx: another follows
                self._head = found
        return self._answer(self._head)

    def end(self) -> Answer:
        """The answer that the end of the connection completes. Raises :class:`CutShort`."""
        head = self._head
        if head is None or head.chunked or head.length is not None:
            raise CutShort("the connection ended within the answer" if self._data or head else "no answer")
        return Answer(head.status, head.location, self._data[:BODY_LIMIT])

    def _expect_http(self) -> None:
        begin = b"HTTP/1."
        if self._data[: len(begin)] != begin[: len(self._data)]:
            raise BadHttp("no status line")
        if len(self._data) > HEAD_LIMIT:
            raise BadHttp("the header is too long")

    def _answer(self, head: _Head) -> Answer | None:
        if not 200 <= head.status < 300 or head.status == 204 or head.length == 0:
            return Answer(head.status, head.location, b"")
        body, whole = _unchunked(self._data) if head.chunked else (self._data, False)
        wanted = BODY_LIMIT if head.length is None else min(head.length, BODY_LIMIT)
        return Answer(head.status, head.location, body[:wanted]) if whole or len(body) >= wanted else None


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


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    """The body so far, and whether it is complete.

    Decoded again at each call: the body is bounded and rarely split.
    """
    body = b""
    while len(body) < BODY_LIMIT:
        line = _CHUNK_LINE.match(data)
        if line is None:
            if b"\r\n" in data or len(data) > HEAD_LIMIT:
                raise BadHttp("a chunk without a length")
            return body, False
        size = int(line[1], 16)
        if size == 0:
            return body, True
        body += data[line.end() : line.end() + size]
        rest = data[line.end() + size :]
        if len(rest) < 2:
            return body, False
        if rest[:2] != b"\r\n":
            raise BadHttp("a chunk longer than its length")
        data = rest[2:]
    return body, True

"""Serves style sheets, scripts and pictures; their address changes with their content."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import hdrs, web

from shared.web import errors

# A coding with ``;q=0`` is refused by the client.
_GZIP = re.compile(r"(?:^|,)[ \t]*(?:gzip|x-gzip|\*)[ \t]*(?:$|,|;[ \t]*q=(?!0(?:\.0*)?[ \t]*(?:$|,)))", re.IGNORECASE)
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


def accepts_gzip(request: web.Request) -> bool:
    return _GZIP.search(request.headers.get(hdrs.ACCEPT_ENCODING, "")) is not None


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that anybody may have, compressed once and not for each request."""

    plain: bytes
    packed: bytes
    kind: str

    @classmethod
    def of(cls, plain: bytes, kind: str) -> StaticFile:
        return cls(plain, gzip.compress(plain), kind)

    def response(self, request: web.Request, cache_control: str) -> web.Response:
        """With ``Content-Encoding: gzip`` for clients that accept it."""
        accepts = accepts_gzip(request)
        headers = {hdrs.CACHE_CONTROL: cache_control, hdrs.VARY: hdrs.ACCEPT_ENCODING}
        if accepts:
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(
            body=self.packed if accepts else self.plain,
            content_type=self.kind,
            charset=None if self.kind == "image/png" else "utf-8",
            headers=headers,
        )


class Assets:
    """The files of ``folders``, read at the first use; the last folder with a name wins."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._files: dict[str, StaticFile] = {}
        self._digest = ""

    def url(self, name: str) -> str:
        """The address of ``name``. Scripts import ``./name``, so all share one digest."""
        return f"/static/{self.digest}/{name}"

    @property
    def digest(self) -> str:
        if not self._digest:
            self._read()
        return self._digest

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """``GET /static/{digest}/{name}``; an old digest gets the present file, uncached."""
        digest = self.digest
        file = self._files.get(request.match_info["name"])
        if file is None:
            raise errors.not_found("this file")
        current = request.match_info["digest"] == digest
        return file.response(request, "public, max-age=31536000, immutable" if current else "no-cache")

    def _read(self) -> None:
        for folder in self._folders:
            for path in sorted(folder.iterdir()):
                if path.suffix in _TYPES:
                    self._files[path.name] = StaticFile.of(path.read_bytes(), _TYPES[path.suffix])
        whole = hashlib.sha256()
        for name, file in sorted(self._files.items()):
            whole.update(name.encode() + b"\0" + file.plain)
        self._digest = whole.hexdigest()[:12]

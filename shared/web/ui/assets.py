"""Serves style sheets, scripts and pictures; their address changes with their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from shared.web import errors

_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


class Assets:
    """The files of ``folders``, read at the first use; the last folder with a name wins."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._files: dict[str, bytes] = {}
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
        body = self._files.get(request.match_info["name"])
        if body is None:
            raise errors.not_found("this file")
        current = request.match_info["digest"] == digest
        kind = _TYPES[Path(request.match_info["name"]).suffix]
        response = web.Response(body=body, content_type=kind, charset="utf-8" if kind != "image/png" else None)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if current else "no-cache"
        response.enable_compression()
        return response

    def _read(self) -> None:
        for folder in self._folders:
            for path in sorted(folder.iterdir()):
                if path.suffix in _TYPES:
                    self._files[path.name] = path.read_bytes()
        whole = hashlib.sha256()
        for name, body in sorted(self._files.items()):
            whole.update(name.encode() + b"\0" + body)
        self._digest = whole.hexdigest()[:12]

"""``GET /docs``: the API explained by Swagger UI, served from an installed package."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from pathlib import Path

from aiohttp import web

from bot_service.dashboard.context import DASHBOARD
from bot_service.domain.refused import not_found
from shared.web.ui.assets import StaticFile

_READING = threading.Lock()
_PACKED: dict[str, StaticFile] = {}
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


async def show(request: web.Request) -> web.StreamResponse:
    return request.app[DASHBOARD].pages.render(request, "docs.html")


async def file(request: web.Request) -> web.StreamResponse:
    """One of the two files of Swagger UI; 404 for everything else that the package holds."""
    name = request.match_info["name"]
    found = _PACKED.get(name) or (await asyncio.to_thread(_found, name) if name in _FILES else None)
    if found is None:
        raise not_found("this file")
    return found.response(request, "public, max-age=86400")


def _found(name: str) -> StaticFile | None:
    with _READING:  # the first callers wait for one reading instead of all reading and packing it
        folder = _folder()
        if name not in _PACKED and folder is not None:
            _PACKED[name] = StaticFile.of((folder / name).read_bytes(), _FILES[name])
        return _PACKED.get(name)


def _folder() -> Path | None:
    # Found, not imported: only the package's files are wanted.
    spec = importlib.util.find_spec("drf_spectacular_sidecar")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], "static", "drf_spectacular_sidecar", "swagger-ui-dist")

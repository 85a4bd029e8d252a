"""``GET /docs``: the API explained by Swagger UI, served from an installed package."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

from aiohttp import web

from bot_service.dashboard.context import DASHBOARD
from bot_service.domain.refused import not_found

_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


async def show(request: web.Request) -> web.StreamResponse:
    return request.app[DASHBOARD].pages.render(request, "docs.html")


async def file(request: web.Request) -> web.StreamResponse:
    """One of the two files of Swagger UI; 404 for everything else that the package holds."""
    kind = _FILES.get(request.match_info["name"])
    folder = _folder()
    if kind is None or folder is None:
        raise not_found("this file")
    body = await asyncio.to_thread((folder / request.match_info["name"]).read_bytes)
    response = web.Response(body=body, content_type=kind, charset="utf-8")
    response.headers["Cache-Control"] = "public, max-age=86400"
    response.enable_compression()
    return response


def _folder() -> Path | None:
    # Found, not imported: only the package's files are wanted.
    spec = importlib.util.find_spec("drf_spectacular_sidecar")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], "static", "drf_spectacular_sidecar", "swagger-ui-dist")

"""What handlers of this dialect read of a request: the instance, and the address of this service."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.domain.session_record import SessionRecord


def find(request: web.Request) -> SessionRecord:
    """The instance in the path. Raises :class:`Refused` ``not_found``."""
    return request.app[keys.SESSIONS].queries.find(principal(request), request.match_info["instance"])


def server(request: web.Request) -> str:
    """The address of this service, with which the addresses of files begin."""
    return request.app[keys.SETTINGS].reached_at or str(request.url.origin())

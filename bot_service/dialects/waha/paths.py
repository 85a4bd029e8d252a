"""Where the dialect is, and where its clients fetch files."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.settings import BotSettings

PREFIX = "/waha"
WEBSOCKET = f"{PREFIX}/ws"
FILE = PREFIX + "/api/files/{id}/{messageId}"


def base(settings: BotSettings) -> str:
    """The dialect's address for those that get it without a request: receivers of webhooks."""
    return (settings.reached_at or f"http://localhost:{settings.port}") + PREFIX


def base_of(request: web.Request) -> str:
    """The dialect's address for this client: under PUBLIC_URL, or what it called."""
    settings = request.app[keys.SETTINGS]
    if settings.reached_at is not None:
        return base(settings)
    port = request.transport.get_extra_info("sockname")[1] if request.transport is not None else None
    return str(request.url.origin()) + ("" if port == settings.waha_port else PREFIX)

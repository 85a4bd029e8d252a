"""``GET /health``, ``/livez`` and ``/readyz``: what the bot service says about itself."""

from __future__ import annotations

import msgspec


class SessionCounts(msgspec.Struct, frozen=True, rename="camel"):
    """Sessions by number only; no name or number of a person."""

    total: int
    ready: int


class Healthy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Status 200. ``uptime`` in milliseconds."""

    status: str = "ok"
    uptime: int
    version: str
    boot_id: str
    sessions: SessionCounts


class Unhealthy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Status 503, with every reason by name (``store``, ``loop:…``, ``engine_pool``)."""

    status: str = "unhealthy"
    reasons: list[str]

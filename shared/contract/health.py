"""``GET /health``, ``/livez`` and ``/readyz``: what the bot service says about itself."""

from __future__ import annotations

import msgspec


class SessionCounts(msgspec.Struct, frozen=True, rename="camel"):
    """Sessions by number only; no name or number of a person."""

    total: int
    ready: int


class ClientVersion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The version that new logins announce to WhatsApp. ``source``: ``published``, ``builtin`` or ``manual``.

    ``age_days`` is about how long ago it was published. ``outdated``: WhatsApp refuses it and all logins wait. ``problem``:
    why it is the engine's own and not the chosen one. The first three are left out while the engine's own is not known.
    """

    version: str | msgspec.UnsetType = msgspec.UNSET
    source: str | msgspec.UnsetType = msgspec.UNSET
    age_days: float | msgspec.UnsetType = msgspec.UNSET
    outdated: bool
    problem: str | msgspec.UnsetType = msgspec.UNSET


class Healthy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Status 200. ``uptime`` in milliseconds. No ``client_version`` when the engine announces none."""

    status: str = "ok"
    uptime: int
    version: str
    boot_id: str
    sessions: SessionCounts
    client_version: ClientVersion | msgspec.UnsetType = msgspec.UNSET


class Unhealthy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Status 503, with every reason by name (``store``, ``loop:…``, ``engine_pool``)."""

    status: str = "unhealthy"
    reasons: list[str]

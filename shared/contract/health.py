"""``GET /health``, ``/livez`` and ``/readyz``: what the bot service says about itself."""

from __future__ import annotations

import msgspec

from shared.contract.identity import BOT, WATCHDOG


def program_of(body: object) -> str | None:
    """``bot`` or ``watchdog``, whichever gave ``body`` as JSON of its ``/health``; None for others."""
    if not isinstance(body, dict) or not body.get("bootId"):
        return None
    return WATCHDOG if "lastCycleAge" in body else BOT


class SessionCounts(msgspec.Struct, frozen=True, rename="camel"):
    """Counts of sessions; no personal data.

    ``wanted`` should run, ``ready`` of them are READY, ``need_person`` cannot go on without a person.
    """

    total: int
    wanted: int
    ready: int
    need_person: int = 0


class ClientVersion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The client version that new logins announce to WhatsApp.

    ``source``: ``published``, ``builtin`` or ``manual``. ``age_days`` since about its publication.
    ``outdated``: WhatsApp refuses it and logins wait. ``problem``: why the built-in version is
    used. The first three are left out while the built-in version is unknown.
    """

    version: str | msgspec.UnsetType = msgspec.UNSET
    source: str | msgspec.UnsetType = msgspec.UNSET
    age_days: float | msgspec.UnsetType = msgspec.UNSET
    outdated: bool
    problem: str | msgspec.UnsetType = msgspec.UNSET


class Healthy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Status 200. ``uptime`` in ms. No ``client_version`` for an engine that announces none.

    ``proof`` answers the challenge of the request (:mod:`shared.contract.identity`).
    ``orderly_stops``: boot ids of earlier runs, newest first, up to the first one that was not
    stopped in order. Both are for callers that send a challenge.
    """

    status: str = "ok"
    uptime: int
    version: str
    boot_id: str
    sessions: SessionCounts
    client_version: ClientVersion | msgspec.UnsetType = msgspec.UNSET
    orderly_stops: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    proof: str | msgspec.UnsetType = msgspec.UNSET


class Unhealthy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Status 503, with every reason by name (``store``, ``loop:…``, ``engine_pool``)."""

    status: str = "unhealthy"
    reasons: list[str]
    boot_id: str
    proof: str | msgspec.UnsetType = msgspec.UNSET

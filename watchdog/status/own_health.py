"""``GET /health`` of the watchdog: 503 for a dead loop, a failing ledger or a late cycle."""

from __future__ import annotations

import msgspec
from aiohttp import web
from msgspec.structs import replace

from shared.contract.identity import CHALLENGE_HEADER, WATCHDOG, Identity
from shared.web.body import json_response
from watchdog.parts import PARTS, Parts

_CYCLES_LATE = 3


class Health(msgspec.Struct, frozen=True, rename="camel"):
    """``uptime`` and ``last_cycle_age`` in ms; the age is None before the first whole cycle.

    ``proof`` answers the challenge of the request (:mod:`shared.contract.identity`).
    """

    status: str
    uptime: int
    version: str
    boot_id: str
    enabled: bool
    last_cycle_age: int | None
    reasons: list[str] = []
    proof: str | msgspec.UnsetType = msgspec.UNSET


async def handle(request: web.Request) -> web.StreamResponse:
    base = request.app[PARTS].base
    proof = Identity(base.token).proof(WATCHDOG, base.boot.boot_id, request.headers.get(CHALLENGE_HEADER))
    health = replace(_health(request.app[PARTS]), proof=proof or msgspec.UNSET)
    return json_response(health, status=503 if health.reasons else 200)


def _health(parts: Parts) -> Health:
    settings, boot = parts.base.settings, parts.base.boot
    uptime_ms, age_ms = boot.age_ms(parts.base.clock), parts.cycle.age_ms
    found = [f"loop:{name}:{error}" for name, error in parts.loops.dead().items()]
    if parts.base.ledger.gap is not None:
        found.append("ledger")
    allowed_ms = _CYCLES_LATE * (settings.interval_ms + settings.timeout_ms) + settings.start_delay_ms
    if settings.enabled and (uptime_ms if age_ms is None else age_ms) > allowed_ms:
        found.append("no_cycle")
    status = "unhealthy" if found else "ok" if settings.enabled else "disabled"
    return Health(status, uptime_ms, boot.version, boot.boot_id, settings.enabled, age_ms, found)

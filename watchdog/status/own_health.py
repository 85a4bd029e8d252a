"""``GET /health`` of the watchdog: 503 for a dead loop, a failing ledger, a late cycle."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from shared.web.middleware import Handler

CYCLES_LATE = 3


class Health(msgspec.Struct, frozen=True, rename="camel"):
    """``uptime`` and ``last_cycle_age`` in ms; the age is None before the first whole cycle."""

    status: str
    uptime: int
    version: str
    boot_id: str
    enabled: bool
    last_cycle_age: int | None
    reasons: list[str] = []


def handler(look: Callable[[], Health]) -> Handler:
    async def health(_request: web.Request) -> web.StreamResponse:
        found = look()
        return web.Response(
            body=msgspec.json.encode(found),
            status=200 if found.status != "unhealthy" else 503,
            content_type="application/json",
        )

    return health


def reasons(
    *,
    dead_loops: dict[str, str],
    ledger_fault: str | None,
    enabled: bool,
    cycle_age_ms: int | None,
    uptime_ms: int,
    allowed_ms: int,
) -> list[str]:
    """Why the watchdog cannot watch; empty when it can. ``allowed_ms`` limits the cycle's age."""
    found = [f"loop:{name}:{error}" for name, error in dead_loops.items()]
    if ledger_fault is not None:
        found.append("ledger")
    age_ms = cycle_age_ms if cycle_age_ms is not None else uptime_ms
    if enabled and age_ms > allowed_ms:
        found.append("no_cycle")
    return found

"""``GET /health`` and ``GET /readyz``: answered from memory, never waiting on a session or on the outside."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.api.schemas import Status
from shared.contract.health import Healthy, SessionCounts, Unhealthy
from shared.web.body import json_response


def reasons(app: web.Application) -> list[str]:
    """Why this process is unhealthy; empty when it is well. No session is ever a reason."""
    found = [f"loop:{name}" for name in sorted(app[keys.LOOPS].dead())]
    found += [f"loop:{name}" for name in sorted(app[keys.DELIVERY_LOOPS].dead())]
    if app[keys.STORE].failing is not None or app[keys.DATABASE].failing is not None:
        found.append("store")
    if not app[keys.POOL].journalling():
        found.append("journal")
    if not app[keys.POOL].watching():
        found.append("engine_pool")
    return found


async def health(request: web.Request) -> web.Response:
    app = request.app
    found = reasons(app)
    if found:
        return json_response(Unhealthy(reasons=found), status=503)
    boot, registry = app[keys.BOOT], app[keys.REGISTRY]
    counts = SessionCounts(total=len(registry), ready=registry.ready)
    return json_response(
        Healthy(uptime=boot.age_ms(app[keys.CLOCK]), version=boot.version, boot_id=boot.boot_id, sessions=counts)
    )


async def readyz(request: web.Request) -> web.Response:
    well = not reasons(request.app)
    return json_response(Status("ok" if well else "unhealthy"), status=200 if well else 503)

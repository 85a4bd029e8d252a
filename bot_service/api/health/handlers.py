"""``GET /health`` and ``GET /readyz``: answered from memory, never waiting on a session or on the outside."""

from __future__ import annotations

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.api.sessions.schemas import Status
from bot_service.domain import version_problems
from bot_service.sessions.client_version import VersionFacts
from shared.contract.health import ClientVersion, Healthy, SessionCounts, Unhealthy
from shared.web.body import json_response


def reasons(app: web.Application) -> list[str]:
    """Why this process is unhealthy; empty when it is well. No session is ever a reason."""
    found = [f"loop:{name}" for name in sorted(app[keys.RUN].loops.dead())]
    if app[keys.SESSIONS].store.failing is not None or app[keys.DATABASE].failing is not None:
        found.append("store")
    if not app[keys.SESSIONS].pool.journalling():
        found.append("journal")
    if not app[keys.SESSIONS].pool.watching():
        found.append("engine_pool")
    return found


async def health(request: web.Request) -> web.Response:
    app = request.app
    found = reasons(app)
    if found:
        return json_response(Unhealthy(reasons=found), status=503)
    boot, registry = app[keys.RUN].boot, app[keys.SESSIONS].registry
    counts = SessionCounts(total=len(registry), ready=registry.ready)
    return json_response(
        Healthy(
            uptime=boot.age_ms(app[keys.CLOCK]),
            version=boot.version,
            boot_id=boot.boot_id,
            sessions=counts,
            client_version=_client_version(app[keys.SESSIONS].client_version.facts()),
        )
    )


def _client_version(facts: VersionFacts) -> ClientVersion | msgspec.UnsetType:
    """No reason to be unhealthy: sessions that are connected stay so."""
    if not facts.announces:
        return msgspec.UNSET
    return ClientVersion(
        version=msgspec.UNSET if facts.version is None else facts.version,
        source=msgspec.UNSET if facts.source is None else facts.source.value,
        age_days=msgspec.UNSET if facts.age_days is None else facts.age_days,
        outdated=facts.outdated,
        problem=msgspec.UNSET if facts.problem_reason is None else version_problems.sentence(facts.problem_reason),
    )


async def readyz(request: web.Request) -> web.Response:
    well = not reasons(request.app)
    return json_response(Status("ok" if well else "unhealthy"), status=200 if well else 503)

"""Health, readiness, liveness and metrics of this process, answered from memory."""

from __future__ import annotations

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.api.health import statistics
from bot_service.domain import version_problems
from bot_service.sessions.client_version import VersionFacts
from shared.contract.health import ClientVersion, Healthy, SessionCounts, Unhealthy
from shared.contract.identity import BOT, CHALLENGE_HEADER
from shared.web import livez as shared_livez
from shared.web.body import json_response


class Status(msgspec.Struct, frozen=True):
    """``ok`` or ``unhealthy``."""

    status: str


class Liveness(msgspec.Struct, frozen=True, rename="camel"):
    """``ok`` or ``stalled``, and milliseconds since the loop last turned."""

    status: str
    loop_age_ms: int


def _unhealthy_reasons(request: web.Request) -> list[str]:
    return request.app[keys.OPERATIONS].unhealthy_reasons(request.app[keys.RUN].loops.dead())


async def health(request: web.Request) -> web.Response:
    app = request.app
    boot, registry = app[keys.RUN].boot, app[keys.SESSIONS].registry
    challenge = request.headers.get(CHALLENGE_HEADER)
    proof = app[keys.RUN].identity.proof(BOT, boot.boot_id, challenge) or msgspec.UNSET
    found = _unhealthy_reasons(request)
    if found:
        return json_response(Unhealthy(reasons=found, boot_id=boot.boot_id, proof=proof), status=503)
    counts = SessionCounts(
        total=len(registry),
        wanted=registry.wanted,
        ready=registry.wanted_ready,
        need_person=registry.needing_person,
    )
    return json_response(
        Healthy(
            uptime=boot.age_ms(app[keys.CLOCK]),
            version=boot.version,
            boot_id=boot.boot_id,
            sessions=counts,
            client_version=_client_version(app[keys.SESSIONS].client_version.facts()),
            orderly_stops=msgspec.UNSET if proof is msgspec.UNSET else app[keys.RUN].history.orderly_stops,
            proof=proof,
        )
    )


def _client_version(facts: VersionFacts) -> ClientVersion | msgspec.UnsetType:
    """A refused version is no reason to be unhealthy: sessions that are connected stay so."""
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
    well = not _unhealthy_reasons(request)
    return json_response(Status("ok" if well else "unhealthy"), status=200 if well else 503)


async def livez(request: web.Request) -> web.StreamResponse:
    return await shared_livez.handler(request.app[keys.RUN].guard)(request)


async def prometheus(request: web.Request) -> web.StreamResponse:
    app = request.app
    return await app[keys.METRICS].scrapes.answer(request, lambda: statistics.refresh(app))

"""The handlers between the watchdog and this service: heartbeat, statistics, repair."""

from __future__ import annotations

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.domain.inputs import StoredSessionId
from bot_service.domain.refused import invalid
from bot_service.operations.heartbeat import sse_event
from shared.contract.heartbeat import BEAT
from shared.contract.keepalive import SCHEMA_VERSION, Push, PushAccepted
from shared.sse import open_response
from shared.web import body
from shared.web.body import json_response


class Repair(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Without ``session`` those not ready for longest are repaired."""

    action: str
    session: StoredSessionId | None = None


class RepairView(msgspec.Struct, frozen=True):
    """How many sessions were touched; 0 when there was nothing to repair."""

    action: str
    sessions: int


async def heartbeat(request: web.Request) -> web.StreamResponse:
    """A beat every interval over server-sent events, and ``stopping`` before a planned stop."""
    publisher = request.app[keys.OPERATIONS].heartbeat
    stream = publisher.open()
    try:
        response = await open_response(request, sse_event(BEAT, publisher.beat()))
        await stream.write_to(response)
    finally:
        publisher.close(stream)
    return response


async def keepalive(request: web.Request) -> web.Response:
    """From memory only."""
    return json_response(request.app[keys.OPERATIONS].watchdog_reports.view())


async def accept_report(request: web.Request) -> web.Response:
    """Idempotent by (bootId, sequence): an older or repeated report changes nothing."""
    pushed = await body.read(request, Push)
    if pushed.schema_version > SCHEMA_VERSION:
        raise invalid("schemaVersion", f"this service speaks version {SCHEMA_VERSION}")
    operations = request.app[keys.OPERATIONS]
    accepted = await operations.watchdog_reports.accept(pushed)
    attention = operations.attention.exchange(pushed)
    return json_response(PushAccepted(accepted, pushed.sequence, msgspec.UNSET if attention is None else attention))


async def repair(request: web.Request) -> web.Response:
    """202 with how many sessions it touched."""
    wanted = await body.read(request, Repair)
    count = await request.app[keys.SESSIONS].commands.repair(wanted.action, wanted.session)
    return json_response(RepairView(wanted.action, count), status=202)

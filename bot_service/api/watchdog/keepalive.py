"""``/api/keepalive``: takes the watchdog's pushes and tells the world what it pushed last."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.store.batch_writer import STORE_ERRORS
from shared.contract.keepalive import SCHEMA_VERSION, Push, PushAccepted
from shared.web import body, errors
from shared.web.body import json_response


async def read(request: web.Request) -> web.Response:
    """From memory only."""
    return json_response(request.app[keys.OPERATIONS].watchdog_reports.view())


async def push(request: web.Request) -> web.Response:
    """Idempotent by (bootId, sequence): an older or repeated push is accepted and changes nothing."""
    pushed = await body.read(request, Push)
    if pushed.schema_version > SCHEMA_VERSION:
        raise errors.invalid("schemaVersion", f"this service speaks version {SCHEMA_VERSION}")
    try:
        accepted = await request.app[keys.OPERATIONS].watchdog_reports.accept(pushed)
    except STORE_ERRORS:
        raise errors.Problem(
            503, "store_unavailable", "the store does not take writes", headers={"Retry-After": "5"}
        ) from None
    return json_response(PushAccepted(accepted, pushed.sequence))

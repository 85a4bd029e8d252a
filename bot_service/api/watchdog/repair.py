"""``POST /api/repair``: what the watchdog may ask for, with its own token. It never undoes what a person wants."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.api.sessions.lookup import problems
from bot_service.api.sessions.schemas import Repair, RepairView
from bot_service.domain.session_record import Command, CommandKind, SessionRecord
from bot_service.domain.session_rules import refusal
from bot_service.domain.states import Wanted
from bot_service.sessions.commands import sick
from shared.web import body, errors
from shared.web.body import json_response

ACTIONS = ("reconnect_session", "recycle_worker")
AT_ONCE = 10


async def repair(request: web.Request) -> web.Response:
    """202 with how many sessions it touched; 0 when there was nothing to repair."""
    wish, app = await body.read(request, Repair), request.app
    if wish.action not in ACTIONS:
        raise errors.invalid("action", "must be one of " + ", ".join(ACTIONS))
    chosen = _chosen(app, wish, 1 if wish.action == "recycle_worker" else AT_ONCE)
    with problems():
        for record in chosen:
            if wish.action == "recycle_worker":
                await app[keys.SESSIONS].pool.recycle_worker_of(record.id)
            else:
                app[keys.SESSIONS].supervisor.apply(record.id, Command(CommandKind.RECONNECT, "watchdog_repair"))
    return json_response(RepairView(wish.action, len(chosen)), status=202)


def _chosen(app: web.Application, wish: Repair, limit: int) -> list[SessionRecord]:
    registry, now_ms = app[keys.SESSIONS].registry, app[keys.SESSIONS].supervisor.now_ms()
    if wish.session is None:
        return sick(registry, now_ms, limit=limit)
    record = registry.get(wish.session)
    if record is None:
        raise errors.not_found("this session")
    refused = refusal(record, CommandKind.RECONNECT, now_ms)
    if refused is not None or record.wanted is Wanted.STOP:
        raise errors.conflict("wrong_state", "there is no connection to renew", state=record.state.value)
    return [record]

"""The settings `rejectCall` and `msgCall` of an instance: calls are rejected, and answered with a text."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.dialects.evolution import views
from bot_service.domain.calls import Call
from bot_service.domain.refused import Refused
from bot_service.domain.session_record import SessionRecord
from bot_service.engines.port import EngineError
from bot_service.messages.inbound import Batch
from bot_service.messages.people import RejectCall
from bot_service.messages.requests import SendMessage
from shared import logs
from shared.clock import to_ms
from shared.web import errors

log = logs.get(__name__)
# An older call, which was stored while this service did not run, does not ring any more.
RINGS_MS = 60_000


async def listen(app: web.Application) -> None:
    """Reject the calls of instances that want it, as they are stored."""
    find, helpers = app[keys.SESSIONS].registry.get, app[keys.RUN].loops.helpers

    def committed(batch: Batch) -> None:
        newer_than_ms = to_ms(app[keys.CLOCK].now()) - RINGS_MS
        for call in batch.calls:
            record = find(call.session)
            if record is not None and views.rejects_calls(record) and call.at_ms >= newer_than_ms:
                helpers.start(_reject(app, record, call), name="evolution.call")

    app[keys.MESSAGES].journal.committed.subscribe(committed)


async def _reject(app: web.Application, record: SessionRecord, call: Call) -> None:
    messages, text = app[keys.MESSAGES], views.call_text(record)
    try:
        await messages.people.reject_call(record, call.id, RejectCall(call.caller))
        if text and call.group is None:
            await messages.commands.send(record, SendMessage(to=call.caller, text=text), key=f"call-{call.id}")
    except (Refused, EngineError, errors.Problem) as problem:
        log.warning("A call was not rejected", event_name="evolution.call", session=record.id, reason=problem.code)

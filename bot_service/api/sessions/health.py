"""``GET /api/sessions/{id}/health`` with the age of each part, and ``…/transitions``: what happened and who must act."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.api.sessions.lookup import session_of
from bot_service.api.sessions.schemas import (
    LadderView,
    PartView,
    ReceiveProbeView,
    SessionHealthView,
    TransitionList,
    moment,
    transition_view,
)
from bot_service.domain.readiness import doubt, parts
from bot_service.domain.states import LINKED, State
from shared.web.body import json_response


async def health(request: web.Request) -> web.Response:
    """From memory only: no call to the engine or to the outside."""
    record, app = session_of(request), request.app
    supervisor, sweep = app[keys.SESSIONS].supervisor, app[keys.SESSIONS].readiness_check
    now_ms, evidence = supervisor.now_ms(), supervisor.life.evidence(record.id)
    linked = record.state in LINKED
    frame_age = sweep.frame_age_ms(record) if linked else None
    suspicion = doubt(record, evidence, sweep.policy, now_ms) if linked else None
    seen = parts(record, evidence, suspicion, frame_age, supervisor.policy.frame_fresh_ms, now_ms)
    return json_response(
        SessionHealthView(
            session=record.id,
            state=record.state,
            wanted=record.wanted,
            ready=record.state is State.READY and all(part.ok for part in seen.values()),
            reason=record.reason,
            acts=record.actor,
            since_ms=now_ms - record.since_ms,
            parts={name: PartView(part.ok, part.age_ms, part.detail) for name, part in seen.items()},
            probe=ReceiveProbeView(moment(evidence.probe_returned_ms), evidence.probe_round_trip_ms),
            ladder=LadderView(record.rung, moment(record.rung_ms or None)),
            attempt=record.attempt,
        )
    )


async def transitions(request: web.Request) -> web.Response:
    """Newest first."""
    session, store = session_of(request).id, request.app[keys.SESSIONS].store
    kept = await store.transitions(session)
    return json_response(TransitionList(session, [transition_view(change) for change in kept]))

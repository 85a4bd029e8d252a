"""What the session API answers with, in camelCase."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bot_service.api.server.request import iso_time
from bot_service.domain.attention import ADVICE, open_need
from bot_service.domain.need import NeedCode
from bot_service.domain.session_record import DueKind, SessionRecord, Transition
from bot_service.domain.states import Actor, State, Wanted
from bot_service.sessions.queries import SessionHealth


class SessionView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A session. ``acts`` says who must act before it goes on; ``nextTryAt`` is set while it
    reconnects. ``exportedAt``: its pairing left for another service then and is not used here until
    it is taken back. ``proxy`` is its own one, without user and password; null: that of the settings."""

    id: str
    name: str
    owner: str
    state: State
    wanted: Wanted
    reason: str
    detail: str | None
    acts: Actor
    since: str | None
    created_at: str | None
    last_activity_at: str | None
    paired: bool
    jid: str | None
    push_name: str | None
    attempt: int
    next_try_at: str | None
    banned_until: str | None
    timelocked_until: str | None
    exported_at: str | None
    metadata: dict[str, str]
    proxy: str | None


class SessionPage(msgspec.Struct, frozen=True, rename="camel"):
    """``total`` is how many fit in all; ``next`` is the ``after`` of the page that follows, None on
    the last."""

    sessions: list[SessionView]
    total: int
    next: str | None


class AttentionView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A session that needs a person. ``need`` is a stable code; ``what`` happened, ``todo`` what to do.

    ``severity``: ``critical`` when it stays away until then, else ``warning``.
    """

    session: str
    name: str
    need: NeedCode
    severity: str
    what: str
    todo: str
    since: str | None
    link: str


class AttentionList(msgspec.Struct, frozen=True):
    """The sessions of the caller that need a person."""

    sessions: list[AttentionView]


class TransitionView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One change of state."""

    at: str | None
    from_: State = msgspec.field(name="from")
    to: State
    reason: str
    detail: str | None
    acts: Actor


class TransitionList(msgspec.Struct, frozen=True):
    """Newest first."""

    session: str
    transitions: list[TransitionView]


class QrView(msgspec.Struct, frozen=True, rename="camel"):
    """``qr`` is the text to draw; ``round`` counts the rounds of codes."""

    qr: str
    expires_at: str
    round: int


class PairingCodeView(msgspec.Struct, frozen=True, rename="camel"):
    """What to type on the phone."""

    code: str
    expires_at: str | None


class PartView(msgspec.Struct, frozen=True, rename="camel"):
    """One part of readiness; ``ageMs`` since it was last seen, None when it never was."""

    ok: bool
    age_ms: int | None
    detail: str | None


class ReceiveProbeView(msgspec.Struct, frozen=True, rename="camel"):
    """The active check of the receive path, where it is on."""

    returned_at: str | None
    round_trip_ms: int | None


class LadderView(msgspec.Struct, frozen=True):
    """The last step of the recovery ladder that was taken, and when."""

    rung: int
    at: str | None


class SessionHealthView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """``ready`` only when every part is."""

    session: str
    state: State
    wanted: Wanted
    ready: bool
    reason: str
    acts: Actor
    since_ms: int
    parts: dict[str, PartView]
    probe: ReceiveProbeView
    ladder: LadderView
    attempt: int


class Simulate(msgspec.Struct, rename="camel"):
    """``action`` is what to do; every other field is an argument of it."""

    action: Annotated[str, Meta(min_length=1, max_length=64)]


class Simulated(msgspec.Struct, frozen=True):
    """What the action gave; its shape is the action's own."""

    result: Any


def session_view(record: SessionRecord) -> SessionView:
    """A session as the API shows it to those who may see it."""
    return SessionView(
        id=record.id,
        name=record.name,
        owner=record.owner,
        state=record.state,
        wanted=record.wanted,
        reason=record.reason,
        detail=record.detail,
        acts=record.actor,
        since=iso_time(record.since_ms),
        created_at=iso_time(record.created_ms),
        last_activity_at=iso_time(record.active_ms),
        paired=record.jid is not None,
        jid=record.jid,
        push_name=record.push_name,
        attempt=record.attempt,
        next_try_at=iso_time(record.due.at_ms) if record.due is not None and record.due.kind is DueKind.RETRY else None,
        banned_until=iso_time(record.banned_until_ms),
        timelocked_until=iso_time(record.timelocked_until_ms),
        exported_at=iso_time(record.exported_ms),
        metadata=record.metadata,
        proxy=record.proxy.shown if record.proxy is not None else None,
    )


def attention_view(record: SessionRecord, link: str) -> AttentionView:
    """``record`` has an open need. Raises ``ValueError`` for one that has none."""
    need = open_need(record)
    if need is None:
        raise ValueError(f"session {record.id} needs no person")
    advice = ADVICE[need.code]
    return AttentionView(
        session=record.id,
        name=record.name,
        need=need.code,
        severity=advice.severity.value,
        what=advice.what,
        todo=advice.todo,
        since=iso_time(need.since_ms),
        link=link,
    )


def transition_view(change: Transition) -> TransitionView:
    return TransitionView(
        at=iso_time(change.at_ms),
        from_=change.from_state,
        to=change.to_state,
        reason=change.reason,
        detail=change.detail,
        acts=change.actor,
    )


def health_view(record: SessionRecord, health: SessionHealth) -> SessionHealthView:
    return SessionHealthView(
        session=record.id,
        state=record.state,
        wanted=record.wanted,
        ready=record.state is State.READY and all(part.ok for part in health.parts.values()),
        reason=record.reason,
        acts=record.actor,
        since_ms=health.now_ms - record.since_ms,
        parts={name: PartView(part.ok, part.age_ms, part.detail) for name, part in health.parts.items()},
        probe=ReceiveProbeView(iso_time(health.evidence.probe_returned_ms), health.evidence.probe_round_trip_ms),
        ladder=LadderView(record.recovery_step, iso_time(record.recovery_step_ms or None)),
        attempt=record.attempt,
    )

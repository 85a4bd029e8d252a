"""What the session API takes and gives, in camelCase. Unknown fields of a body are refused by name."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bot_service.domain.session_record import DueKind, SessionRecord, Transition
from bot_service.domain.states import Actor, State, Wanted
from shared.clock import from_ms, iso

# ``$`` alone would let one line break at the end through.
SessionId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?!\n)$")]
Owner = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}(?!\n)$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Phone = Annotated[str, Meta(pattern=r"^\+?[0-9]{6,15}(?!\n)$")]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=500)]], Meta(max_length=32)
]
DEFAULT_OWNER = "main"


class CreateSession(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``start`` begins at once, which shows a QR code; ``owner`` may be given by an administrator only."""

    id: SessionId | None = None
    name: Name | None = None
    owner: Owner | None = None
    metadata: Metadata = {}
    start: bool = True


class ChangeSession(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    name: Name | None = None
    owner: Owner | None = None
    metadata: Metadata | None = None


class PairByCode(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    phone: Phone


class Repair(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Without ``session`` the ones that are in trouble for longest are taken."""

    action: str
    session: SessionId | None = None


def moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(from_ms(at_ms))


class SessionView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A session. ``acts`` says who must act before it goes on; ``nextTryAt`` is set while it reconnects."""

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
    metadata: dict[str, str]


class SessionPage(msgspec.Struct, frozen=True, rename="camel"):
    """``total`` is how many fit in all; ``next`` is the ``after`` of the page that follows, None on the last."""

    sessions: list[SessionView]
    total: int
    next: str | None


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


class RepairView(msgspec.Struct, frozen=True):
    """How many sessions were touched; 0 when there was nothing to repair."""

    action: str
    sessions: int


class Simulate(msgspec.Struct, rename="camel"):
    """``action`` is what to do; every other field is an argument of it."""

    action: Annotated[str, Meta(min_length=1, max_length=64)]


class Simulated(msgspec.Struct, frozen=True):
    """What the action gave; its shape is the action's own."""

    result: Any


class Status(msgspec.Struct, frozen=True):
    """``ok`` or ``unhealthy``."""

    status: str


class Liveness(msgspec.Struct, frozen=True, rename="camel"):
    """``ok`` or ``stalled``, and milliseconds since the loop last turned."""

    status: str
    loop_age_ms: int


class LoginLink(msgspec.Struct, frozen=True, rename="camel"):
    """An address that signs in once."""

    url: str
    expires_at: str


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
        since=moment(record.since_ms),
        created_at=moment(record.created_ms),
        last_activity_at=moment(record.active_ms),
        paired=record.jid is not None,
        jid=record.jid,
        push_name=record.push_name,
        attempt=record.attempt,
        next_try_at=moment(record.due.at_ms) if record.due is not None and record.due.kind is DueKind.RETRY else None,
        banned_until=moment(record.banned_until_ms),
        timelocked_until=moment(record.timelocked_until_ms),
        metadata=record.metadata,
    )


def transition_view(change: Transition) -> TransitionView:
    return TransitionView(
        at=moment(change.at_ms),
        from_=change.from_state,
        to=change.to_state,
        reason=change.reason,
        detail=change.detail,
        acts=change.actor,
    )

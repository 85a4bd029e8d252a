"""What the session API takes and gives, in camelCase. Unknown fields of a body are refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bot_service.domain.record import Record, Transition
from shared.clock import iso

SessionId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Owner = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Phone = Annotated[str, Meta(pattern=r"^\+?[0-9]{6,15}$")]
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
    return None if at_ms is None else iso(datetime.fromtimestamp(at_ms / 1000, UTC))


def session_view(record: Record) -> dict[str, Any]:
    """A session as the API shows it to those who may see it."""
    return {
        "id": record.id,
        "name": record.name,
        "owner": record.owner,
        "state": record.state.value,
        "wanted": record.wanted.value,
        "reason": record.reason,
        "detail": record.detail,
        "acts": record.actor.value,
        "since": moment(record.since_ms),
        "createdAt": moment(record.created_ms),
        "lastActivityAt": moment(record.active_ms),
        "paired": record.jid is not None,
        "jid": record.jid,
        "pushName": record.push_name,
        "attempt": record.attempt,
        "nextTryAt": moment(record.due.at_ms) if record.due is not None and record.due.kind.value == "retry" else None,
        "bannedUntil": moment(record.banned_until_ms),
        "timelockedUntil": moment(record.timelocked_until_ms),
        "metadata": record.metadata,
    }


def transition_view(change: Transition) -> dict[str, Any]:
    return {
        "at": moment(change.at_ms),
        "from": change.from_state.value,
        "to": change.to_state.value,
        "reason": change.reason,
        "detail": change.detail,
        "acts": change.actor.value,
    }

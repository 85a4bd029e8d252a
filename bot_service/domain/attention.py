"""Which sessions need a person, and what to tell people: one table, and one pure function.

No notice is about what a person asked for (stop, delete, log out), nor about a code that was just
shown and is not scanned yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from bot_service.domain.need import Need, NeedCode, Voice
from bot_service.domain.reasons import Reason
from bot_service.domain.recovery import gave_up
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted
from shared.translation import N_


class Severity(StrEnum):
    """``critical``: the session stays away until a person acts."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Advice:
    """``what`` happened and what ``todo``, in whole sentences that name no session."""

    severity: Severity
    what: str
    todo: str


ADVICE = {
    NeedCode.BANNED: Advice(
        Severity.CRITICAL,
        N_("WhatsApp banned this number."),
        N_("Open WhatsApp on the phone to ask for a review. Veilleur will not retry: that would make it worse."),
    ),
    NeedCode.TEMP_BANNED: Advice(
        Severity.WARNING,
        N_("WhatsApp banned this number temporarily."),
        N_("Send less and to fewer new chats. The session tries again once when the ban is over."),
    ),
    NeedCode.TEMP_BANNED_AGAIN: Advice(
        Severity.CRITICAL,
        N_("WhatsApp banned this number temporarily again."),
        N_("Look at WhatsApp on the phone. Start the session when the ban is over and the cause is removed."),
    ),
    NeedCode.LOGGED_OUT: Advice(
        Severity.CRITICAL,
        N_("This number was unlinked on the phone."),
        N_("Press Start and scan a new QR code."),
    ),
    NeedCode.PRIMARY_GONE: Advice(
        Severity.CRITICAL,
        N_("The account is gone from the phone."),
        N_("Set up WhatsApp on the phone again, then start the session and scan the code."),
    ),
    NeedCode.FENCED: Advice(
        Severity.CRITICAL,
        N_("Another program uses the same link."),
        N_("Stop the other program, then start the session."),
    ),
    NeedCode.NOT_PAIRED: Advice(
        Severity.WARNING,
        N_("No phone was linked: every code expired or failed."),
        N_("Press Start and scan a new QR code."),
    ),
    NeedCode.REFUSED: Advice(
        Severity.CRITICAL,
        N_("WhatsApp refuses the connection again and again."),
        N_("Look at the log for the reason and at the phone for a message of WhatsApp, then start the session."),
    ),
    NeedCode.CLOSED: Advice(
        Severity.WARNING,
        N_("The session was closed because it was not used or is older than allowed."),
        N_("Start the session to use it again, or stop or delete it."),
    ),
    NeedCode.OUTDATED: Advice(
        Severity.CRITICAL,
        N_("WhatsApp refuses the client version, so the session cannot log in."),
        N_("Install a newer version of Veilleur if this lasts; until then other client versions are tried."),
    ),
    NeedCode.NOT_RECEIVING: Advice(
        Severity.CRITICAL,
        N_("The session is connected but receives nothing, and every recovery step was tried."),
        N_("Look at the session in the log, restart it, and link the phone again if that does not help."),
    ),
}

_OF_STATE = {
    State.BANNED: NeedCode.BANNED,
    State.TEMP_BANNED: NeedCode.TEMP_BANNED,
    State.LOGGED_OUT: NeedCode.LOGGED_OUT,
    State.FENCED: NeedCode.FENCED,
    State.FAILED: NeedCode.REFUSED,
    State.OUTDATED: NeedCode.OUTDATED,
}
_OF_REASON: dict[str, NeedCode] = {
    Reason.TEMP_BANNED_AGAIN: NeedCode.TEMP_BANNED_AGAIN,
    Reason.PRIMARY_GONE: NeedCode.PRIMARY_GONE,
    Reason.PAIRING_TIMED_OUT: NeedCode.NOT_PAIRED,
    Reason.PAIR_ERROR: NeedCode.NOT_PAIRED,
}
# A connection that this service renews on purpose.
_RENEWED = frozenset(
    {
        Reason.USER_RESTART,
        Reason.WATCHDOG_REPAIR,
        Reason.RECYCLE_INACTIVE,
        Reason.RECYCLE_MAX_AGE,
        Reason.FLEET_RECOVERED,
        Reason.RESTORED,
    }
)
_CLOSED_BY_ITSELF = frozenset({Reason.INACTIVE, Reason.MAX_AGE})


def needed(record: SessionRecord) -> NeedCode | None:
    """Why a person must look at ``record`` as it is now; None when no person must."""
    if record.state is State.CLOSED:
        # Closing sets what is wanted to STOP, although no person asked for it.
        return NeedCode.CLOSED if record.reason in _CLOSED_BY_ITSELF else None
    if record.wanted is Wanted.STOP:
        return None
    code = _OF_STATE.get(record.state)
    if code is not None:
        return _OF_REASON.get(record.reason, code)
    return NeedCode.NOT_RECEIVING if gave_up(record) else None


def follow(record: SessionRecord, now_ms: int) -> SessionRecord:
    """``record`` with the need that its state makes of the one that it had.

    A need lasts over tries and restarts until the session is READY or a person stops it. Another
    reason for a person is another need.
    """
    need, code = record.need, needed(record)
    if code is not None:
        if need is None or not need.lasts or need.code is not code:
            return with_need(record, Need(code, now_ms))
        return record
    if need is None or not need.lasts:
        return record
    if record.wanted is Wanted.STOP:
        return with_need(record, None)
    if record.state is State.READY:
        return with_need(record, msgspec.structs.replace(need, over_ms=now_ms))
    return record


def severity(record: SessionRecord) -> Severity | None:
    """How bad the state of ``record`` is; None for what belongs to the normal course of things."""
    code = needed(record)
    if code is not None:
        return ADVICE[code].severity
    lost = record.state is State.RECONNECTING and record.reason not in _RENEWED
    return Severity.WARNING if lost or record.state is State.DEGRADED else None


def open_need(record: SessionRecord) -> Need | None:
    """The need that lasts now; None when only the notice of its end is still to be sent."""
    return record.need if record.need is not None and record.need.lasts else None


def spoken(record: SessionRecord, voice: Voice) -> SessionRecord:
    """``record`` after ``voice`` took over the notices about its need."""
    return record if record.need is None else with_need(record, msgspec.structs.replace(record.need, voice=voice))


def settled(record: SessionRecord) -> SessionRecord:
    """``record`` after the end of its need was reported, or need not be."""
    return with_need(record, None)


def with_need(record: SessionRecord, need: Need | None) -> SessionRecord:
    """``record`` with another need, or none."""
    return msgspec.structs.replace(record, need=need)

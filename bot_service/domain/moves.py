"""The moves of a session that reactions, commands and timers share."""

from __future__ import annotations

from typing import TypedDict, Unpack

import msgspec

from bot_service.domain.reasons import Reason
from bot_service.domain.reconnect import backoff_ms
from bot_service.domain.session_record import (
    Decision,
    Due,
    DueKind,
    Effect,
    EffectKind,
    SessionPolicy,
    SessionRecord,
    Signal,
)
from bot_service.domain.states import Actor, State, Wanted

replace = msgspec.structs.replace
STOP = Effect(EffectKind.STOP)


class Changes(TypedDict, total=False):
    """The fields that a move may set; checked by mypy and free at run time."""

    actor: Actor
    due: Due | None
    detail: str | None
    wanted: Wanted
    jid: str | None
    lid: str | None
    exported_ms: int | None
    push_name: str | None
    qr_rounds: int
    active_ms: int
    engaged: bool
    linked: bool
    linked_ms: int | None
    attempt: int
    careful: int
    replaced_ms: int | None
    suspicion: str | None
    recovery_step: int
    recovery_step_ms: int
    banned_until_ms: int | None
    ban_tries: int


def move(record: SessionRecord, state: State, reason: Reason, now_ms: int, **changes: Unpack[Changes]) -> SessionRecord:
    """``record`` in ``state``; no person must act and nothing is due unless ``changes`` says so."""
    fields: dict[str, object] = {"actor": Actor.NONE, "due": None, "detail": None, **changes}
    fields["state"], fields["reason"] = state, reason.value
    if state is not record.state:
        fields["since_ms"] = now_ms
    return replace(record, **fields)


def attempts(record: SessionRecord, policy: SessionPolicy, now_ms: int) -> int:
    """Reconnects to count after a lost link; a stable one starts the backoff at zero."""
    stable = record.linked and record.linked_ms is not None and now_ms - record.linked_ms >= policy.stable_ms
    return 0 if stable else record.attempt


def retry_soon(
    record: SessionRecord, reason: Reason, policy: SessionPolicy, now_ms: int, *, detail: str | None = None
) -> SessionRecord:
    """RECONNECTING, with a new start after a random wait under a growing ceiling."""
    attempt = attempts(record, policy, now_ms)
    wait_ms = backoff_ms(record.id, attempt, now_ms, first_ms=policy.first_delay_ms, max_ms=policy.max_delay_ms)
    retry = Due(DueKind.RETRY, now_ms + wait_ms)
    return move(record, State.RECONNECTING, reason, now_ms, linked=False, attempt=attempt + 1, detail=detail, due=retry)


def end(
    record: SessionRecord, state: State, reason: Reason, acts: Actor, now_ms: int, **changes: Unpack[Changes]
) -> Decision:
    """An end: the client is stopped and people are alerted."""
    changes = {"linked": False, "engaged": False, "actor": acts, **changes}
    return move(record, state, reason, now_ms, **changes), (STOP, Effect(EffectKind.ATTENTION, reason.value))


def detail_of(signal: Signal) -> str | None:
    for name in ("reason", "signature"):
        if signal.data.get(name) is not None:
            # PostgreSQL holds no text with NUL.
            return str(signal.data[name]).replace("\x00", "")[:200]
    # A code that is text pairs a phone (QR or typed): a secret, never stored with the transitions.
    code = next((signal.data[name] for name in ("code", "exitCode") if isinstance(signal.data.get(name), int)), None)
    return None if code is None else str(code)

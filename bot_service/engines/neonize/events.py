"""Signals of those events of the library that do not depend on the client's state. Pure."""

from __future__ import annotations

from typing import Any

from bot_service.domain.session_record import Signal
from bot_service.domain.signals import SignalKind
from bot_service.engines.neonize import jids, library

LOGIN_WORDS = {
    "timeout": SignalKind.QR_EXHAUSTED,
    "passkey-request": SignalKind.PASSKEY_REQUIRED,
    "err-scanned-without-multidevice": SignalKind.MULTIDEVICE_OFF,
}
PAUSED, RECORDING = 2, 2


def plain(number: int, event: Any, now_s: float) -> Signal | None:
    """The signal of an event, None for the others. `now_s`: wall time in seconds."""
    if number == library.KEEPALIVE_TIMEOUT:
        age_ms = int(now_s - event.LastSuccess) * 1000 if event.LastSuccess > 0 else None
        return Signal(SignalKind.KEEPALIVE_TIMEOUT, {"errors": event.ErrorCount, "lastSuccessMs": age_ms})
    if number == library.KEEPALIVE_RESTORED:
        return Signal(SignalKind.KEEPALIVE_RESTORED, {})
    if number == library.SYNC_PREVIEW:
        return Signal(SignalKind.OFFLINE_SYNC_PREVIEW, {"messages": event.Message, "total": event.Total})
    if number == library.SYNC_COMPLETED:
        return Signal(SignalKind.OFFLINE_SYNC_COMPLETED, {"count": event.Count})
    if number == library.UNDECRYPTABLE:
        chat = jids.to_text(event.Info.MessageSource.Chat)
        return Signal(SignalKind.UNDECRYPTABLE, {"chat": chat, "messageId": event.Info.ID})
    if number == library.PRESENCE:
        return _presence(event)
    return _chat_presence(event) if number == library.CHAT_PRESENCE else None


def _presence(event: Any) -> Signal:
    who = jids.to_text(event.From)
    state = "unavailable" if event.Unavailable else "available"
    last_seen_ms = int(event.LastSeen) * 1000 if event.LastSeen > 0 else None
    return Signal(SignalKind.PRESENCE, {"chat": who, "from": who, "state": state, "lastSeenMs": last_seen_ms})


def _chat_presence(event: Any) -> Signal:
    source = event.MessageSource
    who = jids.known_by_number(source.Sender, source.SenderAlt)
    chat = jids.to_text(source.Chat) if source.IsGroup else jids.known_by_number(source.Chat, source.SenderAlt)
    state = "recording" if event.Media == RECORDING else "composing"
    return Signal(
        SignalKind.PRESENCE,
        {"chat": chat, "from": who, "state": "paused" if event.State == PAUSED else state, "lastSeenMs": None},
    )

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
    return Signal(SignalKind.PRESENCE) if number == library.CHAT_PRESENCE else None

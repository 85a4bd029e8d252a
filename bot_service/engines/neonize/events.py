"""Those events of the library that say the same whatever the client is doing, as signals. Pure."""

from __future__ import annotations

from typing import Any

from bot_service.domain.signals import SignalKind
from bot_service.engines.neonize import jids, library
from bot_service.engines.neonize.stanza_signals import Sign

LOGIN_WORDS = {
    "timeout": SignalKind.QR_EXHAUSTED,
    "passkey-request": SignalKind.PASSKEY_REQUIRED,
    "err-scanned-without-multidevice": SignalKind.MULTIDEVICE_OFF,
}


def plain(number: int, event: Any, now_s: float) -> Sign | None:
    """The signal of an event, None for those that need the client. `now_s`: wall time in seconds."""
    if number == library.KEEPALIVE_TIMEOUT:
        age_ms = int(now_s - event.LastSuccess) * 1000 if event.LastSuccess > 0 else None
        return SignalKind.KEEPALIVE_TIMEOUT, {"errors": event.ErrorCount, "lastSuccessMs": age_ms}
    if number == library.KEEPALIVE_RESTORED:
        return SignalKind.KEEPALIVE_RESTORED, {}
    if number == library.SYNC_PREVIEW:
        return SignalKind.OFFLINE_SYNC_PREVIEW, {"messages": event.Message, "total": event.Total}
    if number == library.SYNC_COMPLETED:
        return SignalKind.OFFLINE_SYNC_COMPLETED, {"count": event.Count}
    if number == library.UNDECRYPTABLE:
        chat = jids.to_text(event.Info.MessageSource.Chat)
        return SignalKind.UNDECRYPTABLE, {"chat": chat, "messageId": event.Info.ID}
    return (SignalKind.PRESENCE, {}) if number == library.CHAT_PRESENCE else None

"""The codes that are shown right now for pairing, in memory only: they are secrets and live for seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot_service.domain.signals import SignalKind


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """``kind`` is ``qr`` or ``pairing_code``; ``round`` counts the rounds of QR codes."""

    kind: str
    code: str
    expires_ms: int
    round: int = 1


class PairingCodes:
    def __init__(self) -> None:
        self._shown: dict[str, Shown] = {}

    def show(self, session: str, kind: SignalKind, data: dict[str, Any], now_ms: int) -> Shown:
        """Replaces what was shown before."""
        shown = Shown(
            kind.value,
            str(data.get("code", "")),
            now_ms + int(data.get("expiresInMs", 20_000)),
            int(data.get("round", 1)),
        )
        self._shown[session] = shown
        return shown

    def hide(self, session: str) -> None:
        self._shown.pop(session, None)

    def valid(self, session: str, now_ms: int) -> Shown | None:
        """What a phone can use now; None when there is nothing or it has expired."""
        shown = self._shown.get(session)
        return shown if shown is not None and shown.expires_ms > now_ms else None

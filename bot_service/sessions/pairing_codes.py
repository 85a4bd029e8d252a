"""The codes that are shown for pairing, in memory only: secrets, valid for seconds."""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.domain.session_record import Signal


@dataclass(frozen=True, slots=True, repr=False)
class PairingCode:
    """``kind`` is ``qr`` or ``pairing_code``; ``round`` counts the rounds of QR codes."""

    kind: str
    code: str
    expires_ms: int
    round: int = 1


class PairingCodes:
    def __init__(self) -> None:
        self._shown: dict[str, PairingCode] = {}

    def show(self, session: str, signal: Signal, now_ms: int) -> PairingCode:
        """Replaces the code that was shown before."""
        data = signal.data
        shown = PairingCode(
            signal.kind.value,
            str(data.get("code", "")),
            now_ms + int(data.get("expiresInMs", 20_000)),
            int(data.get("round", 1)),
        )
        self._shown[session] = shown
        return shown

    def hide(self, session: str) -> None:
        self._shown.pop(session, None)

    def valid(self, session: str, now_ms: int) -> PairingCode | None:
        """What a phone can use now; None when there is no code or it has expired."""
        shown = self._shown.get(session)
        return shown if shown is not None and shown.expires_ms > now_ms else None

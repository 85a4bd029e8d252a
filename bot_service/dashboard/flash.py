"""What a page may say once: a fresh secret, or what came of a test. Kept in memory between a command and the page after it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from bot_service.dashboard.login import Login, same_token
from shared.clock import Clock

_KEPT = 50
_KEPT_FOR_S = 300.0


@dataclass(frozen=True, slots=True)
class Said:
    """``secret`` is shown in a field of its own, named ``label``."""

    kind: str
    text: str
    secret: str = ""
    label: str = ""

    def __repr__(self) -> str:
        return f"Said({self.kind!r})"


class FlashMessages:
    """Each thing is for the login that brought it about, and gone once it was shown, or after five minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, str, Said]] = {}

    def keep(self, login: Login, said: Said) -> str:
        """The word to ask for it with. The oldest is forgotten when too many are kept."""
        self._forget_old()
        while len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept)))
        word = secrets.token_urlsafe(12)
        self._kept[word] = (self._clock.monotonic() + _KEPT_FOR_S, login.form_token, said)
        return word

    def take(self, login: Login, word: str) -> Said | None:
        """What was kept under ``word`` for this login; from now on it is gone."""
        self._forget_old()
        kept = self._kept.get(word)
        if kept is None or not same_token(kept[1], login):
            return None
        del self._kept[word]
        return kept[2]

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        self._kept = {word: kept for word, kept in self._kept.items() if kept[0] > now}

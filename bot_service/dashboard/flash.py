"""One-time flash messages (a new secret, a test result), kept in memory for the next page."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot_service.dashboard.login import Login, same_token
from shared.clock import Clock

_KEPT = 50
_KEPT_FOR_S = 300.0


@dataclass(frozen=True, slots=True)
class FlashMessage:
    """``secret`` is shown in a field of its own, named ``label``.

    Of a refused form: ``errors`` are reasons by the field that is wrong, ``typed`` what was typed.
    """

    kind: str
    text: str
    secret: str = ""
    label: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    typed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"FlashMessage({self.kind!r})"


class FlashMessages:
    """A message is for the login that caused it; it is shown once, within five minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, str, FlashMessage]] = {}

    def add(self, login: Login, target: str, message: FlashMessage) -> str:
        """``target`` with a token that shows ``message``. Too many messages drop the oldest."""
        self._drop_expired()
        while len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept)))
        token = secrets.token_urlsafe(12)
        self._kept[token] = (self._clock.monotonic() + _KEPT_FOR_S, login.form_token, message)
        return f"{target}{'&' if '?' in target else '?'}once={token}"

    def take(self, login: Login, token: str) -> FlashMessage | None:
        """The message of ``token`` for this login; a second call gives None."""
        self._drop_expired()
        kept = self._kept.get(token)
        if kept is None or not same_token(kept[1], login):
            return None
        del self._kept[token]
        return kept[2]

    def _drop_expired(self) -> None:
        now = self._clock.monotonic()
        self._kept = {token: kept for token, kept in self._kept.items() if kept[0] > now}

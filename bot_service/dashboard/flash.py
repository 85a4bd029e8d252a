"""One-time flash messages (a new secret, a test result), kept for the next page; with replicas for that of any of them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bot_service.access.shared_once import SharedOnce
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

    def __init__(self, clock: Clock, shared: SharedOnce | None = None) -> None:
        self._clock, self._shared = clock, shared
        # What no other replica can find yet.
        self._unshared: list[str] = []
        self._kept: dict[str, tuple[float, str, FlashMessage]] = {}

    def add(self, login: Login, target: str, message: FlashMessage) -> str:
        """``target`` with a token that shows ``message``. Too many messages drop the oldest."""
        self._drop_expired()
        while len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept)))
        token = secrets.token_urlsafe(12)
        self._kept[token] = (self._clock.monotonic() + _KEPT_FOR_S, login.form_token, message)
        if self._shared is not None:
            self._unshared.append(token)
        return f"{target}{'&' if '?' in target else '?'}once={token}"

    async def share(self) -> None:
        """With replicas: put what was added where every replica finds it."""
        tokens, self._unshared = self._unshared, []
        for token in tokens:
            if self._shared is not None and (kept := self._kept.pop(token, None)) is not None:
                data = msgspec.json.encode(kept[2])
                await self._shared.put(token, data, lasts_s=_KEPT_FOR_S, reader=kept[1])

    async def fetch(self, login: Login, token: str) -> None:
        """With replicas: get the message of ``token`` for :meth:`take`, wherever it was added."""
        if self._shared is None or not token or token in self._kept:
            return
        data = await self._shared.take(token, reader=login.form_token)
        if data is not None:
            message = msgspec.json.decode(data, type=FlashMessage)
            self._kept[token] = (self._clock.monotonic() + _KEPT_FOR_S, login.form_token, message)

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

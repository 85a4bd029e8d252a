"""Who a caller is and what a caller may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot_service.domain.refused import Refused
from bot_service.domain.session_ids import shown


class Scope(StrEnum):
    """What a route needs. ADMIN includes SESSION, READ and SEND for every owner."""

    PUBLIC = "public"  # no key at all
    STATS = "stats"  # no key while PUBLIC_STATS is true, READ otherwise
    METRICS = "metrics"  # METRICS_TOKEN when there is one
    WATCHDOG = "watchdog"  # WATCHDOG_TOKEN and nothing else
    ADMIN = "admin"
    SESSION = "session"
    READ = "read"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. ``owner`` None sees all owners; ``key_id`` None is the administrator's own key.

    ``expires_ms`` is when the key ends by itself, in ms since the epoch.
    """

    name: str
    owner: str | None
    scopes: frozenset[Scope]
    key_id: str | None = None
    expires_ms: int | None = None

    def may(self, scope: Scope) -> bool:
        return Scope.ADMIN in self.scopes or scope in self.scopes

    def require(self, scope: Scope) -> None:
        """Raises :class:`Refused` ``forbidden`` without ``scope``."""
        if not self.may(scope):
            raise Refused("forbidden", f"this key lacks the scope {scope.value}")

    def sees(self, owner: str | None) -> bool:
        """Whether this caller sees what belongs to ``owner``."""
        return self.owner is None or self.owner == owner

    def known_id(self, session: str) -> str:
        """The id of a session of this caller as the caller knows it."""
        return session if self.owner is None else shown(session)

    def require_owner(self, owner: str | None, action: str) -> None:
        """Raises Refused ``forbidden`` when ``owner`` is given and not the caller's own."""
        if owner is not None and not self.sees(owner):
            raise Refused("forbidden", f"only an administrator {action}")


ADMINISTRATOR = Principal("administrator", None, frozenset({Scope.ADMIN}))

"""Refused client versions: all sessions wait while one, the canary, tries another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace

from bot_service.domain.ports import ClientVersionPool
from bot_service.domain.reasons import Reason
from bot_service.domain.session_record import (
    ClientAccepted,
    ClientOutdated,
    Command,
    CommandKind,
    Fact,
    SessionPolicy,
    SessionRecord,
)
from bot_service.domain.states import FINAL, State, Wanted
from bot_service.sessions.notifications import SessionNotifications
from bot_service.sessions.registry import SessionRegistry
from shared import logs
from shared.cooperative import CooperativeLoop
from shared.tasks import spawn

log = logs.get(__name__)

# Of an engine that announces no client version.
NO_BUILD = 0


class ClientVersionRefusals:
    """``policy`` holds the limits of every session, and the canary while there is one.

    ``refused`` are the builds that WhatsApp refused; ``refused_by`` the sessions that were refused
    with each since it was last accepted. ``changed`` is set at every change and every refusal.
    """

    def __init__(
        self,
        policy: SessionPolicy,
        registry: SessionRegistry,
        notifications: SessionNotifications,
        apply: Callable[[str, Fact], object],
        pool: ClientVersionPool,
    ) -> None:
        self.policy = policy
        self.refused: frozenset[int] = frozenset()
        self.refused_by: dict[int, set[str]] = {}
        self.changed = asyncio.Event()
        self.announced = NO_BUILD
        """What new workers announce."""
        self.restored = False
        """Whether the refusal, and its alert, are from before the start."""
        self._registry, self._notifications, self._apply, self._pool = registry, notifications, apply, pool

    # --- one session ---

    def others_accepted(self, session: str) -> bool:
        """Whether a refusal concerns ``session`` only: others with its build are connected."""
        if self.policy.client_outdated or self.refused_by.get(self._build_of(session), set()) - {session}:
            return False
        return any(record.linked and record.id != session for record in self._registry)

    def login_refused(self, session: str) -> None:
        """WhatsApp refused the client version of ``session``; its record has been moved."""
        build = self._build_of(session)
        self.refused_by.setdefault(build, set()).add(session)
        if self.policy.client_outdated:
            self.refuse(self.refused | {build})
        elif build != NO_BUILD:
            self._pool.allow_one_login(build)
        self.changed.set()

    def login_accepted(self, session: str) -> None:
        """WhatsApp accepted the client version of ``session``."""
        build = self._build_of(session)
        if not self.refused_by and build not in self.refused:
            return
        self.refused_by.pop(build, None)
        # Refused with these and accepted with another one: the builds are at fault, not the
        # account.
        others = {refused for refused, by in self.refused_by.items() if session in by}
        self.refuse((self.refused | others) - {build})
        self.changed.set()

    def link_lost(self, session: str) -> None:
        """The engine dials again by itself; prevents that with a refused build."""
        if self._build_of(session) not in self.refused:
            return
        if not self.policy.client_outdated:
            self._apply(session, Command(CommandKind.RECONNECT, reason=Reason.CLIENT_REFUSED))
        elif self.policy.canary != session:
            self._apply(session, ClientOutdated())

    def refuse(self, builds: frozenset[int], *, restored: bool = False) -> None:
        """Sets the refused builds. ``restored``: writes them for workers of an earlier run too."""
        if builds == self.refused and not restored:
            return
        self.refused = builds
        try:
            self._pool.refuse(builds - {NO_BUILD})
        except OSError as error:
            log.error(
                f"Workers do not learn which client versions are refused: {error.strerror}",
                event_name="fleet.gate_failed",
            )

    # --- all sessions ---

    def outdated(self, canary: SessionRecord, *, restored: bool = False) -> None:
        """Only the canary still logs in. ``restored``: the refusal is from before the start."""
        if self.policy.client_outdated:
            return
        self.policy = replace(self.policy, client_outdated=True, canary=canary.id)
        self.restored = restored
        self.changed.set()
        if not restored:
            self._notifications.client_outdated(canary, self._pool.build_of(canary.id))
            spawn(self._hold_all(), name="fleet.hold")

    async def _hold_all(self) -> None:
        slices = CooperativeLoop()
        for session in self._registry.ids():
            if self.policy.client_outdated and session != self.policy.canary:
                self._apply(session, ClientOutdated())
            if slices.spent:
                await slices.take()

    def canary(self) -> SessionRecord | None:
        return self._registry.get(self.policy.canary or "")

    def next_canary(self, build: int, *, but: Collection[str] = ()) -> SessionRecord | None:
        """The best session to try ``build``: one that waits and was not refused with it."""
        waiting = [
            record
            for record in self._registry.here()
            if record.state is State.OUTDATED and record.wanted is Wanted.RUN and record.id not in but
        ]
        by = self.refused_by.get(build, set())
        # Sessions that were refused with other builds come last: perhaps the account is at fault.
        suspects = set().union(*self.refused_by.values()) if self.refused_by else set()
        return min(
            waiting, key=lambda record: (record.id in by, record.jid is None, record.id in suspects), default=None
        )

    def try_with(self, canary: SessionRecord, now_ms: int) -> None:
        """``canary`` logs in now."""
        former, self.policy = self.policy.canary, replace(self.policy, canary=canary.id)
        if former is not None and former != canary.id:
            self._apply(former, ClientOutdated())
        self._apply(canary.id, Command(CommandKind.TRY_AS_CANARY, at_ms=now_ms))

    async def recovered(self) -> None:
        """A client version is accepted: every session may log in again."""
        if not self.policy.client_outdated:
            return
        canary = self.canary()
        self.up_to_date()
        self._notifications.client_accepted(canary, None if canary is None else self._pool.build_of(canary.id))
        slices = CooperativeLoop()
        for session in self._registry.ids():
            self._apply(session, ClientAccepted())
            if slices.spent:
                await slices.take()

    def up_to_date(self) -> None:
        self.policy = replace(self.policy, client_outdated=False, canary=None)

    def check_canary(self) -> None:
        """Chooses another canary when the present one cannot try any more."""
        if not self.policy.client_outdated:
            return
        canary = self.canary()
        if canary is not None and canary.wanted is Wanted.RUN and canary.state not in FINAL:
            return
        for record in self._registry.here():
            if record.state is State.OUTDATED and record.wanted is Wanted.RUN:
                self.policy = replace(self.policy, canary=record.id)
                self._apply(record.id, Command(CommandKind.TRY_AS_CANARY))
                return
        self._notifications.client_accepted(None, None)
        self.up_to_date()

    def _build_of(self, session: str) -> int:
        return self._pool.build_of(session) or NO_BUILD

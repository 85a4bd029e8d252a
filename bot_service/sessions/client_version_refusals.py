"""What concerns all sessions at once: WhatsApp refuses the client version, one session, the canary, tries another, all return."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace

from bot_service.domain.ports import ClientVersionPool
from bot_service.domain.reactions import CLIENT_REFUSED
from bot_service.domain.session_record import (
    Command,
    CommandKind,
    Fact,
    FleetOutdated,
    FleetRecovered,
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
    """``policy`` is what every session is judged by; whether the fleet is outdated, and who the canary is, is part of it.

    ``refused`` are the builds that WhatsApp refused, ``refused_by`` the sessions that were refused with each since the build
    was last accepted. ``changed`` is set whenever either changes or a session was refused.
    """

    def __init__(
        self,
        policy: SessionPolicy,
        registry: SessionRegistry,
        news: SessionNotifications,
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
        """Whether the refusal is known from before the start, and people with it."""
        self._registry, self._news, self._apply, self._pool = registry, news, apply, pool

    # --- what the engine says of one session ---

    def others_accepted(self, session: str) -> bool:
        """Whether a refusal of ``session`` is its own trouble: others are connected, and none was refused with its build."""
        if self.policy.fleet_outdated or self.refused_by.get(self._build_of(session), set()) - {session}:
            return False
        return any(record.linked and record.id != session for record in self._registry)

    def login_refused(self, session: str) -> None:
        """WhatsApp refused the client version of ``session``; its record has been moved."""
        build = self._build_of(session)
        self.refused_by.setdefault(build, set()).add(session)
        if self.policy.fleet_outdated:
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
        # It was refused with these and is accepted with another one: they are the fault, not the account.
        others = {refused for refused, by in self.refused_by.items() if session in by}
        self.refuse((self.refused | others) - {build})
        self.changed.set()

    def link_lost(self, session: str) -> None:
        """The engine would dial again by itself; not with a build that is refused."""
        if self._build_of(session) not in self.refused:
            return
        if not self.policy.fleet_outdated:
            self._apply(session, Command(CommandKind.RECONNECT, reason=CLIENT_REFUSED))
        elif self.policy.canary != session:
            self._apply(session, FleetOutdated())

    def refuse(self, builds: frozenset[int], *, restored: bool = False) -> None:
        """Exactly these builds are refused from now on. ``restored``: whatever workers of an earlier run were left with."""
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

    # --- the whole fleet ---

    def outdated(self, canary: SessionRecord, *, restored: bool = False) -> None:
        """WhatsApp refuses the client version: only the canary still logs in. ``restored``: known from before the start."""
        if self.policy.fleet_outdated:
            return
        self.policy = replace(self.policy, fleet_outdated=True, canary=canary.id)
        self.restored = restored
        self.changed.set()
        if not restored:
            self._news.fleet_outdated(canary, self._pool.build_of(canary.id))
            spawn(self._hold_all(), name="fleet.hold")

    async def _hold_all(self) -> None:
        breath = CooperativeLoop()
        for session in self._registry.ids():
            if self.policy.fleet_outdated and session != self.policy.canary:
                self._apply(session, FleetOutdated())
            if breath.spent:
                await breath.take()

    def canary(self) -> SessionRecord | None:
        return self._registry.get(self.policy.canary or "")

    def next_canary(self, build: int, *, but: Collection[str] = ()) -> SessionRecord | None:
        """The session that can best find out whether ``build`` is accepted: one that waits, and was not refused with it."""
        waiting = [
            record
            for record in self._registry
            if record.state is State.OUTDATED and record.wanted is Wanted.RUN and record.id not in but
        ]
        by = self.refused_by.get(build, set())
        # Sessions that were refused with other builds come last: perhaps it is their own trouble.
        suspects = set().union(*self.refused_by.values()) if self.refused_by else set()
        return min(
            waiting, key=lambda record: (record.id in by, record.jid is None, record.id in suspects), default=None
        )

    def try_with(self, canary: SessionRecord, now_ms: int) -> None:
        """``canary`` logs in now, for all."""
        former, self.policy = self.policy.canary, replace(self.policy, canary=canary.id)
        if former is not None and former != canary.id:
            self._apply(former, FleetOutdated())
        self._apply(canary.id, Command(CommandKind.ASK_FOR_FLEET, at_ms=now_ms))

    async def recovered(self) -> None:
        """A client version is accepted: every session may log in again."""
        if not self.policy.fleet_outdated:
            return
        canary = self.canary()
        self.up_to_date()
        self._news.fleet_recovered(canary, None if canary is None else self._pool.build_of(canary.id))
        breath = CooperativeLoop()
        for session in self._registry.ids():
            self._apply(session, FleetRecovered())
            if breath.spent:
                await breath.take()

    def up_to_date(self) -> None:
        self.policy = replace(self.policy, fleet_outdated=False, canary=None)

    def check_canary(self) -> None:
        """Sees to it that exactly one session asks for the fleet while the client is outdated."""
        if not self.policy.fleet_outdated:
            return
        canary = self.canary()
        if canary is not None and canary.wanted is Wanted.RUN and canary.state not in FINAL:
            return
        for record in self._registry:
            if record.state is State.OUTDATED and record.wanted is Wanted.RUN:
                self.policy = replace(self.policy, canary=record.id)
                self._apply(record.id, Command(CommandKind.ASK_FOR_FLEET))
                return
        self._news.fleet_recovered(None, None)
        self.up_to_date()

    def _build_of(self, session: str) -> int:
        return self._pool.build_of(session) or NO_BUILD

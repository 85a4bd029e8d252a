"""Keeps all sessions from asking when WhatsApp refuses this version of the client: one, the canary, asks for them now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bot_service.domain.record import Command, CommandKind, Fact, FleetRecovered, Policy, Record
from bot_service.domain.states import State, Wanted
from bot_service.sessions.news import News
from bot_service.sessions.registry import SessionRegistry
from shared.breath import Breath


class SessionFleet:
    """``policy`` is what every session is judged by; whether the fleet is outdated, and who the canary is, is part of it."""

    def __init__(
        self, policy: Policy, registry: SessionRegistry, news: News, apply: Callable[[str, Fact], object]
    ) -> None:
        self.policy = policy
        self._registry, self._news, self._apply = registry, news, apply

    def outdated(self, canary: Record) -> None:
        """WhatsApp refuses this version of the client: no session tries any more but ``canary``, now and then."""
        if self.policy.fleet_outdated:
            return
        self.policy = replace(self.policy, fleet_outdated=True, canary=canary.id)
        self._news.fleet_outdated(canary)

    async def recovered(self) -> None:
        """The canary got through: every session may try again."""
        if not self.policy.fleet_outdated:
            return
        canary = self._canary()
        self._is_up_to_date()
        self._news.fleet_recovered(canary)
        breath = Breath()
        for session in self._registry.ids():
            self._apply(session, FleetRecovered())
            if breath.spent:
                await breath.take()

    def check_canary(self) -> None:
        """Sees to it that exactly one session asks for the fleet while the client is outdated."""
        if not self.policy.fleet_outdated:
            return
        canary = self._canary()
        if canary is not None and canary.wanted is Wanted.RUN and canary.state is not State.LOGGED_OUT:
            return
        for record in self._registry:
            if record.state is State.OUTDATED and record.wanted is Wanted.RUN:
                self.policy = replace(self.policy, canary=record.id)
                self._apply(record.id, Command(CommandKind.ASK_FOR_FLEET))
                return
        self._is_up_to_date()

    def _canary(self) -> Record | None:
        return self._registry.get(self.policy.canary or "")

    def _is_up_to_date(self) -> None:
        self.policy = replace(self.policy, fleet_outdated=False, canary=None)

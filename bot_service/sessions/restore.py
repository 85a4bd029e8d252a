"""Brings back what ran before this start: every wanted session in its turn, none forgotten, none in the way of others."""

from __future__ import annotations

from bot_service.domain.session_record import Command, CommandKind, SessionRecord
from bot_service.domain.states import LIVE, State, Wanted
from bot_service.sessions.effects import EffectRunner
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from shared import logs
from shared.cooperative import CooperativeLoop

log = logs.get(__name__)


class Restore:
    """``done`` is true once every wanted session had its first try."""

    def __init__(
        self, supervisor: Supervisor, registry: SessionRegistry, hands: EffectRunner, *, stagger_ms: int
    ) -> None:
        self._supervisor, self._registry = supervisor, registry
        self._stagger_ms = stagger_ms
        self._waiting: set[str] = set()
        hands.tried = self._waiting.discard

    @property
    def done(self) -> bool:
        return not self._waiting

    async def begin(self, records: list[SessionRecord]) -> None:
        """Take over ``records`` from the store; the starts themselves follow by the timers."""
        now_ms = self._supervisor.now_ms()
        breath = CooperativeLoop()
        for record in records:
            self._supervisor.add(record)
            if breath.spent:
                await breath.take()
        turn = 0
        for record in records:
            at_ms = now_ms + turn * self._stagger_ms
            if record.wanted is Wanted.RUN and record.state in LIVE:
                self._waiting.add(record.id)
                turn += 1
            after = self._supervisor.apply(record.id, Command(CommandKind.RESTORE, at_ms=at_ms), admitted=True)
            if after is not None and after is record and after.due is not None and self._supervisor.timers is not None:
                self._supervisor.timers.set(after.id, after.due)
            if after is not None and after.reason != "restored":
                self._waiting.discard(record.id)
            if breath.spent:
                await breath.take()
        self._choose_canary()
        if records:
            log.info(
                f"Restoring {turn} of {len(records)} sessions",
                event_name="boot.restoring",
                sessions=len(records),
                running=turn,
            )

    def _choose_canary(self) -> None:
        outdated = [
            record for record in self._registry if record.state is State.OUTDATED and record.wanted is Wanted.RUN
        ]
        if outdated:
            canary = next((record for record in outdated if record.due is not None), outdated[0])
            self._supervisor.fleet.outdated(canary, restored=True)
            if canary.due is None:
                self._supervisor.apply(canary.id, Command(CommandKind.ASK_FOR_FLEET))

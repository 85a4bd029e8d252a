"""Resumes the sessions that ran before this start, each in its turn."""

from __future__ import annotations

from collections.abc import Iterable

from bot_service.domain.reasons import Reason
from bot_service.domain.session_record import Command, CommandKind, SessionRecord
from bot_service.domain.states import LIVE, State, Wanted
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from shared import logs
from shared.cooperative import CooperativeLoop

log = logs.get(__name__)


class Restore:
    """``done`` is true once a start of every wanted session was tried."""

    def __init__(self, supervisor: Supervisor, registry: SessionRegistry, *, stagger_ms: int) -> None:
        self._supervisor, self._registry = supervisor, registry
        self._stagger_ms = stagger_ms
        self._waiting: set[str] = set()
        supervisor.effects.started.subscribe(self._waiting.discard)

    @property
    def done(self) -> bool:
        return not self._waiting

    def forget(self, sessions: Iterable[str]) -> None:
        """Another replica starts these."""
        self._waiting.difference_update(sessions)

    async def begin(self, records: list[SessionRecord]) -> None:
        """Takes over ``records`` from the store; the timers start the sessions."""
        now_ms = self._supervisor.now_ms()
        slices = CooperativeLoop()
        taken_over = []
        for record in records:
            taken_over.append(self._supervisor.take_over(record))
            if slices.spent:
                await slices.take()
        turn = 0
        for record in taken_over:
            at_ms = now_ms + turn * self._stagger_ms
            if record.wanted is Wanted.RUN and record.state in LIVE:
                self._waiting.add(record.id)
                turn += 1
            after = self._supervisor.apply(record.id, Command(CommandKind.RESTORE, at_ms=at_ms), admitted=True)
            if after is not None and after is record and after.due is not None:
                self._supervisor.timers.set(after.id, after.due)
            if after is not None and after.reason != Reason.RESTORED:
                self._waiting.discard(record.id)
            if slices.spent:
                await slices.take()
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
            record for record in self._registry.here() if record.state is State.OUTDATED and record.wanted is Wanted.RUN
        ]
        if outdated:
            canary = next((record for record in outdated if record.due is not None), outdated[0])
            self._supervisor.refusals.outdated(canary, restored=True)
            if canary.due is None:
                self._supervisor.apply(canary.id, Command(CommandKind.TRY_AS_CANARY))

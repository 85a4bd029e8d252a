"""The only way from an observation to an alert: fact, fold, one ledger transaction, listeners.

The transaction holds the decision and its outbox rows. Nothing is sent, counted or shown before
it is committed, in the file or in the memory that stands in for it.
"""

from __future__ import annotations

import asyncio
import sqlite3

from msgspec.structs import replace

from shared.hooks import Hook
from watchdog.domain.decision import Decided, notices_of
from watchdog.domain.facts import Fact, WatchdogStarted
from watchdog.domain.health import fold
from watchdog.domain.outcome import ProbeResult
from watchdog.domain.policy import Now, Policy
from watchdog.domain.target import Step, Stretch, TargetState
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import decisions, outbox, pauses
from watchdog.ledger.sqlite import Ledger


class Pipeline:
    """Holds the state of every target and processes one fact at a time.

    ``decided`` notifies of every committed decision, ``decided_of`` of those of one target, which
    come first. Listeners must not block.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        steady_time: SteadyTime,
        policy: Policy,
        channels: outbox.Channels,
        boot_id: str,
        targets: tuple[str, ...],
    ) -> None:
        self._ledger, self._steady_time, self._channels = ledger, steady_time, channels
        self._boot_id, self.policy = boot_id, policy
        self._states = {target: TargetState(target) for target in targets}
        self._lock = asyncio.Lock()
        self.decided: Hook[[Decided]] = Hook()
        self.decided_of: dict[str, Hook[[Decided]]] = {target: Hook() for target in targets}

    def state(self, target: str) -> TargetState:
        return self._states[target]

    @property
    def states(self) -> dict[str, TargetState]:
        return dict(self._states)

    async def start(self, last_seen_ms: int | None, *, in_order: bool = False) -> None:
        """Load the states of the last run, which wrote last at ``last_seen_ms``.

        ``in_order``: it was stopped in order.
        """
        await self.load_pauses()
        for target in self._states:
            self._states[target] = await self._ledger.read(lambda c, name=target: decisions.load_state(c, name))  # type: ignore[misc]
            if last_seen_ms is not None:
                await self._ledger.write(
                    lambda c, name=target: decisions.move_stretch(  # type: ignore[misc]
                        c, name, Stretch.UNKNOWN, last_seen_ms, self._steady_time.now().wall_ms
                    )
                )
            await self.process(target, WatchdogStarted(last_seen_ms, in_order))

    async def load_pauses(self) -> None:
        """Read the maintenance windows again; call it after each change of them."""
        now_ms = self._steady_time.now().wall_ms
        current = await self._ledger.read(lambda c: pauses.current(c, now_ms))
        self.policy = replace(self.policy, pauses=current)

    async def process(self, target: str, fact: Fact) -> Step:
        """Decide what ``fact`` means for ``target``."""
        async with self._lock:
            now = self._steady_time.now()
            before = self._states[target]
            step = fold(before, fact, self.policy, now)
            changed = bool(step.flip or step.opened or step.closed or step.events)
            if not changed and not isinstance(fact, ProbeResult | WatchdogStarted):
                self._states[target] = step.state
                return step
            # A ping that changed nothing causes no notice: it need not wait for the disk.
            decided = await self._ledger.write(lambda c: self._keep(c, fact, before, step, now), durable=changed)
            self._states[target] = step.state
        self.decided_of[target](decided)
        self.decided(decided)
        return step

    def _keep(self, connection: sqlite3.Connection, fact: Fact, before: TargetState, step: Step, now: Now) -> Decided:
        if isinstance(fact, ProbeResult):
            decisions.insert_result(connection, fact, self._boot_id)
        closed = decisions.write_step(connection, step, now.wall_ms)
        notices = tuple(notices_of(before, step, step.opened, closed))
        for notice in notices:
            outbox.enqueue(connection, notice, self._channels)
        return Decided(fact, step, step.opened, closed, notices, now)

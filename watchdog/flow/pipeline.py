"""The only road from an observation to an alert: fact, fold, one ledger transaction with the outbox rows, then the tellers.

Nothing is told, counted or shown before the transaction is committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from shared import logs
from watchdog.domain import notices
from watchdog.domain.facts import Fact, WatchdogStarted
from watchdog.domain.health import fold
from watchdog.domain.outcome import ProbeResult
from watchdog.domain.policy import Now, Pause, Policy
from watchdog.domain.states import Incident, Notice
from watchdog.domain.target import HappeningKind, Step, Stretch, TargetState
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import decisions, outbox, pauses
from watchdog.ledger.sqlite import Ledger

log = logs.get(__name__)


class Decided(msgspec.Struct, frozen=True):
    """One fact, what it led to, and the incidents as the ledger holds them now."""

    fact: Fact
    before: TargetState
    step: Step
    opened: tuple[Incident, ...]
    closed: tuple[Incident, ...]
    told: tuple[Notice, ...]
    at: Now


Teller = Callable[[Decided], None]


class Pipeline:
    """Holds the state of every target. Facts of one target are taken one after the other."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        moments: SteadyTime,
        policy: Policy,
        channels: outbox.Channels,
        boot_id: str,
        targets: tuple[str, ...],
    ) -> None:
        self._ledger, self._moments, self._channels, self._boot_id = ledger, moments, channels, boot_id
        self.policy = policy
        self._states = {target: TargetState(target) for target in targets}
        self._turn = asyncio.Lock()
        self._tellers: list[tuple[str | None, Teller]] = []
        self.fault: str | None = None

    def tell(self, teller: Teller, *, of: str | None = None) -> None:
        """Call ``teller`` after every committed decision, or those of one target. It must neither block nor raise."""
        self._tellers.append((of, teller))

    def state(self, target: str) -> TargetState:
        return self._states[target]

    @property
    def states(self) -> dict[str, TargetState]:
        return dict(self._states)

    async def start(self, last_seen_ms: int | None) -> None:
        """Load what the last run knew. ``last_seen_ms`` is when it last wrote; the time since then is a gap."""
        await self.pauses_changed()
        for target in self._states:
            self._states[target] = await self._ledger.read(lambda c, name=target: decisions.load_state(c, name))  # type: ignore[misc]
            if last_seen_ms is not None:
                await self._ledger.write(
                    lambda c, name=target: decisions.move_stretch(  # type: ignore[misc]
                        c, name, Stretch.UNKNOWN, last_seen_ms, self._moments.now().wall_ms
                    )
                )
            await self.take(target, WatchdogStarted(last_seen_ms))

    async def pauses_changed(self) -> None:
        """Read the maintenance windows again; called at start and by whoever changed one."""
        now_ms = self._moments.now().wall_ms
        current: tuple[Pause, ...] = await self._ledger.read(lambda c: pauses.current(c, now_ms))
        self.policy = replace(self.policy, pauses=current)

    async def take(self, target: str, fact: Fact) -> Step | None:
        """Take one fact of ``target``. None when the ledger could not keep it: then nothing has changed."""
        async with self._turn:
            now = self._moments.now()
            before = self._states[target]
            step = fold(before, fact, self.policy, now)
            news = bool(step.flip or step.opened or step.closed or step.happened)
            if not news and not isinstance(fact, ProbeResult | WatchdogStarted):
                self._states[target] = step.state
                return step
            try:
                # A ping that changed nothing is told to nobody: it need not wait for the disk.
                opened, closed, told = await self._ledger.write(
                    lambda c: self._keep(c, fact, before, step, now), durable=news
                )
            except sqlite3.Error as error:
                # An alert that is not in the ledger could be lost or told twice; the next ping decides anew.
                self.fault = f"{type(error).__name__}: {error}"
                log.exception("The ledger could not keep a decision", event_name="ledger.failed", target=target)
                return None
            self.fault = None
            self._states[target] = step.state
        decided = Decided(fact, before, step, tuple(opened), tuple(closed), tuple(told), now)
        for of, teller in self._tellers:
            if of in (None, target):
                teller(decided)
        return step

    def _keep(
        self, connection: sqlite3.Connection, fact: Fact, before: TargetState, step: Step, now: Now
    ) -> tuple[list[Incident], list[Incident], list[Notice]]:
        if isinstance(fact, ProbeResult):
            decisions.insert_result(connection, fact, self._boot_id)
        opened, closed = decisions.write_step(connection, step, now.wall_ms)
        told = notices_of(before, step, opened, closed)
        for notice in told:
            outbox.enqueue(connection, notice, self._channels)
        return opened, closed, told


def notices_of(before: TargetState, step: Step, opened: list[Incident], closed: list[Incident]) -> list[Notice]:
    """What a step gives to tell, in the order in which it happened: ends first, then restarts, then beginnings."""
    told = [notices.closed(incident) for incident in closed]
    for happening in step.happened:
        if happening.kind is HappeningKind.RESTARTED and not happening.quiet:
            gone_ms = happening.at_ms - happening.since_ms
            told.append(
                notices.restarted(
                    happening.target,
                    happening.at_ms,
                    boot_id=happening.detail,
                    old_boot_id=before.boot_id,
                    gone_ms=gone_ms if gone_ms > 0 else None,
                )
            )
    told += [
        notices.opened(incident, failures=step.state.failures, sessionsNotReady=step.state.not_ready)
        for incident in opened
    ]
    return told

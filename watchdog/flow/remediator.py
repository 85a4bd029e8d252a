"""Repairs targets, one action at a time: decided by pure rules, recorded before it starts.

Only later pings show whether a repair helped, by closing the incident or not.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from shared import logs
from shared.clock import Clock, epoch_ms
from shared.timing import either, within
from watchdog.domain import notices
from watchdog.domain.ports import Remediator, Repaired
from watchdog.domain.remediation import (
    DAY_MS,
    Act,
    PastRepair,
    Refusal,
    Refuse,
    RepairFacts,
    RepairHistory,
    RepairPolicy,
    after_health,
    budget_left,
    decide,
    forget_old,
    ladder_of,
)
from watchdog.domain.states import Incident
from watchdog.ledger import outbox, repairs
from watchdog.ledger.outbox import Channels
from watchdog.ledger.repairs import Repair
from watchdog.ledger.sqlite import Ledger
from watchdog.metrics.repairs import RepairMetrics
from watchdog.remediators.lease import RepairLease

log = logs.get(__name__)

_LOOK_S = 1.0
_ACTION_LIMIT_S = 120.0
_LOCKED_AFTER_S = 20.0
_SILENT = frozenset({Refusal.NOTHING_WRONG, Refusal.NOT_CONFIGURED})


class RepairLoop:
    """``facts(target)`` gathers the input of a decision. ``dry_run`` skips the action only."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        steady_ms: Callable[[], int],
        facts: Callable[[str], Awaitable[RepairFacts]],
        remediators: Mapping[str, Sequence[Remediator]],
        channels: Channels,
        metrics: RepairMetrics,
        on_notice: Callable[[], None],
        policy: RepairPolicy | None = None,
        dry_run: bool = False,
        action_limit_s: float = _ACTION_LIMIT_S,
        lease: RepairLease | None = None,
    ) -> None:
        self._ledger, self._clock, self._steady_ms, self._facts = ledger, clock, steady_ms, facts
        self._remediators, self._channels, self._metrics, self._on_notice = remediators, channels, metrics, on_notice
        self._policy = policy or RepairPolicy()
        self._dry_run, self._action_limit_s = dry_run, action_limit_s
        self._ladders = {
            target: ladder_of(tuple(remediator.name for remediator in some)) for target, some in remediators.items()
        }
        self._histories = {target: RepairHistory() for target in remediators}
        self._last_refusals: dict[str, tuple[Refusal, int]] = {}
        self._count = 0
        self._lease, self._locked_since_ms = lease, 0
        self._call = asyncio.Event()

    async def load(self) -> None:
        """Call before :meth:`run`, and when a history comes back: repairs of earlier runs count."""
        now_ms, steady_ms = epoch_ms(self._clock), self._steady_ms()
        await self._ledger.write(lambda c: repairs.abandon_running(c, now_ms))
        for target in self._histories:
            known, reset_ms = await self._ledger.read(lambda c, name=target: _read(c, name, now_ms))  # type: ignore[misc]
            # A wall clock set back must not move earlier repairs into the future.
            offset = steady_ms - now_ms
            past = tuple(_past(repair, offset, steady_ms) for repair in known)
            unknown_ms = 0 if self._ledger.history_known else steady_ms + self._policy.unknown_history_ms
            self._histories[target] = RepairHistory(past, min(reset_ms + offset, steady_ms), unknown_ms)

    async def restore_budget(self, target: str) -> int:
        """Give back the whole budget and reset the backoff. Returns the budget; a running repair
        still counts.
        """
        now_ms, steady_ms = epoch_ms(self._clock), self._steady_ms()
        await self._ledger.write(lambda c: repairs.keep_moment(c, repairs.BUDGET_RESTORED, target, now_ms))
        running = tuple(past for past in self._histories[target].past if past.ended_at_ms is None)
        self._histories[target] = RepairHistory(running, steady_ms)
        log.warning(f"The repair budget of {target} was given back", event_name="repair.forgiven", target=target)
        self.wake()
        return self.budget(target)

    def wake(self) -> None:
        """Decide at once."""
        self._call.set()

    def budget(self, target: str) -> int:
        """Repairs that the budget of ``target`` allows now."""
        return budget_left(self._histories[target], self._policy, self._steady_ms())

    def refusal(self, target: str) -> tuple[Refusal, int] | None:
        """Why the last decision was against a repair, and since when (epoch ms)."""
        return self._last_refusals.get(target)

    async def run(self) -> None:
        """Decide endlessly; the actions of all targets run one after the other."""
        while True:
            for target in self._histories:
                await self.consider(target)
            await self._report_lease()
            await either(self._clock, self._call, _LOOK_S)

    async def _report_lease(self) -> None:
        """People hear of a database that is away for long, and of its return."""
        if self._lease is None:
            return
        now_ms, away_s = epoch_ms(self._clock), self._lease.away_s
        if away_s >= _LOCKED_AFTER_S and not self._locked_since_ms:
            self._locked_since_ms = now_ms - int(away_s * 1000)
            notice = notices.repairs_locked(self._locked_since_ms, now_ms)
        elif not away_s and self._locked_since_ms:
            notice = notices.repairs_unlocked(self._locked_since_ms, now_ms)
            self._locked_since_ms = 0
        else:
            return
        await self._ledger.write(lambda c: outbox.enqueue(c, notice, self._channels))
        self._on_notice()

    async def consider(self, target: str) -> None:
        """Decide about ``target`` and repair it if so decided."""
        facts = await self._facts(target)
        now_ms = self._steady_ms()
        before = self._histories[target]
        history = forget_old(after_health(before, facts.healthy_since_ms, self._policy, now_ms), now_ms)
        self._histories[target] = history
        if history.reset_at_ms - before.reset_at_ms > 60_000:
            wall_ms = epoch_ms(self._clock)
            await self._ledger.write(lambda c: repairs.keep_moment(c, repairs.RESET, target, wall_ms))
        self._metrics.budget.labels(target).set(budget_left(history, self._policy, now_ms))
        decided = decide(facts, self._ladders[target], history, self._policy, now_ms)
        if isinstance(decided, Act) and self._lease is not None and not await self._lease.take():
            decided = Refuse(Refusal.LEASE_UNKNOWN if self._lease.away_s else Refusal.LEASE_ELSEWHERE)
        if isinstance(decided, Refuse):
            await self._refused(target, facts.incident, decided)
            return
        self._last_refusals.pop(target, None)
        incident = facts.incident
        if incident is not None:
            await self._act(target, incident, decided, now_ms)

    async def _refused(self, target: str, incident: Incident | None, refused: Refuse) -> None:
        if refused.page and incident is not None:
            await self._page(incident)
        last = self._last_refusals.get(target)
        if last is not None and last[0] is refused.why:
            return
        self._last_refusals[target] = (refused.why, epoch_ms(self._clock))
        if refused.why not in _SILENT:
            self._metrics.refused.labels(refused.why).inc()
            log.info(
                f"No repair of {target}: {refused.why}",
                event_name="repair.refused",
                target=target,
                reason=refused.why,
                incident=incident.id if incident else None,
            )

    async def _page(self, incident: Incident) -> None:
        policy = self._policy
        notice = notices.repair_budget_spent(
            incident, epoch_ms(self._clock), per_30_min=policy.per_30_min, per_day=policy.per_day
        )
        if await self._ledger.write(lambda c: outbox.enqueue(c, notice, self._channels)):
            log.error(notice.text, event_name="repair.budget_spent", target=incident.target, incident=incident.id)
            self._on_notice()

    async def _act(self, target: str, incident: Incident, act: Act, now_ms: int) -> None:
        if act.slow:
            await self._page(incident)
        step, wall_ms = act.step, epoch_ms(self._clock)
        self._count += 1
        repair = Repair(
            id=f"{incident.id}-{step.action}-{wall_ms}-{self._count}",
            target=target,
            incident_id=incident.id,
            remediator=step.remediator,
            action=step.action,
            at_ms=wall_ms,
            ended_at_ms=None,
            result="running",
        )
        await self._ledger.write(lambda c: repairs.begin(c, repair))
        self._remember(target, PastRepair(now_ms, incident.id, None, step.restarts))
        log.warning(
            f"Repairing {target}: {step.remediator} {step.action}",
            event_name="repair.started",
            repair=repair.id,
            incident=incident.id,
            dry_run=self._dry_run,
        )
        repaired = await self._run(target, step.remediator, step.action, incident)
        ended_ms, steady_ms = epoch_ms(self._clock), self._steady_ms()
        self._replace_last(
            target, PastRepair(now_ms, incident.id, steady_ms, step.restarts, repaired.result == "skipped")
        )
        await self._ledger.write(lambda c: repairs.end(c, repair.id, ended_ms, repaired))
        self._metrics.ended.labels(step.action, repaired.result).inc()
        write = log.info if repaired.result in ("done", "dry_run") else log.warning
        write(
            f"Repair of {target} by {step.remediator} {step.action}: {repaired.result} {repaired.detail}".rstrip(),
            event_name="repair.ended",
            repair=repair.id,
            result=repaired.result,
        )

    async def _run(self, target: str, name: str, action: str, incident: Incident) -> Repaired:
        if self._dry_run:
            return Repaired("dry_run", "REMEDIATION_DRY_RUN is set")
        remediator = next(one for one in self._remediators[target] if one.name == name)
        try:
            return await within(self._clock, remediator.run(action, incident), self._action_limit_s)
        except TimeoutError:
            return Repaired("failed", "timeout")
        except Exception as error:
            log.exception("Remediator failed", event_name="remediator.crashed", remediator=name)
            return Repaired("failed", f"crash_{type(error).__name__}")

    def _remember(self, target: str, past: PastRepair) -> None:
        history = self._histories[target]
        self._histories[target] = msgspec.structs.replace(history, past=(*history.past, past))

    def _replace_last(self, target: str, past: PastRepair) -> None:
        history = self._histories[target]
        self._histories[target] = msgspec.structs.replace(history, past=(*history.past[:-1], past))


def _read(connection: sqlite3.Connection, target: str, now_ms: int) -> tuple[list[Repair], int]:
    from_ms = max(now_ms - 2 * DAY_MS, repairs.moment(connection, repairs.BUDGET_RESTORED, target))
    return repairs.since(connection, target, from_ms), repairs.moment(connection, repairs.RESET, target)


def _past(repair: Repair, offset_ms: int, steady_ms: int) -> PastRepair:
    at_ms = min(repair.at_ms + offset_ms, steady_ms)
    ended_ms = min((repair.ended_at_ms or repair.at_ms) + offset_ms, steady_ms)
    return PastRepair(at_ms, repair.incident_id, ended_ms, repair.restarts, repair.result == "skipped")

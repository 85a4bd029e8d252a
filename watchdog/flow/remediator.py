"""Repairs what is broken, one action at a time: decided by pure rules, written down before it is done, judged by pings.

Whether a repair helped is never asked here; only later probe results tell, by closing the incident or not.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from shared import logs
from shared.clock import Clock
from watchdog.domain import notices
from watchdog.domain.ports import Remediator, Repaired
from watchdog.domain.remediation import (
    DAY_MS,
    Act,
    Memory,
    Past,
    Refusal,
    Refuse,
    RepairPolicy,
    Scene,
    after_health,
    budget_left,
    decide,
    forget_old,
    ladder_of,
)
from watchdog.domain.states import Incident
from watchdog.flow.timing import either, epoch_ms, within
from watchdog.ledger import outbox, repairs
from watchdog.ledger.outbox import Channels
from watchdog.ledger.repairs import Repair
from watchdog.ledger.sqlite import Ledger
from watchdog.metrics.repair_meter import RepairMeter

log = logs.get(__name__)

_LOOK_S = 1.0
_ACTION_LIMIT_S = 120.0
_SILENT = frozenset({Refusal.NOTHING_WRONG, Refusal.NOT_CONFIGURED})


class View(msgspec.Struct, frozen=True):
    """A target as the decision sees it. ``healthy_since_ms`` (steady) is None while anything is wrong."""

    scene: Scene
    healthy_since_ms: int | None = None


class RepairLoop:
    """``look(target)`` tells how a target is; ``steady_ms()`` is the time that decisions go by.

    ``remediators`` are those of each target. With ``dry_run`` everything happens but the action itself.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        steady_ms: Callable[[], int],
        look: Callable[[str], Awaitable[View]],
        remediators: Mapping[str, Sequence[Remediator]],
        channels: Channels,
        meter: RepairMeter,
        told: Callable[[], None],
        policy: RepairPolicy | None = None,
        dry_run: bool = False,
        action_limit_s: float = _ACTION_LIMIT_S,
    ) -> None:
        self._ledger, self._clock, self._steady_ms, self._look = ledger, clock, steady_ms, look
        self._remediators, self._channels, self._meter, self._told = remediators, channels, meter, told
        self._policy = policy or RepairPolicy()
        self._dry_run, self._action_limit_s = dry_run, action_limit_s
        self._ladders = {
            target: ladder_of(tuple(remediator.name for remediator in some)) for target, some in remediators.items()
        }
        self._memories = {target: Memory() for target in remediators}
        self._last_refusals: dict[str, Refusal] = {}
        self._count = 0
        self._call = asyncio.Event()

    async def load(self) -> None:
        """Once, before :meth:`run`: what earlier runs did counts on."""
        now_ms, steady_ms = epoch_ms(self._clock), self._steady_ms()
        await self._ledger.write(lambda c: repairs.abandon_running(c, now_ms))
        for target in self._memories:
            known, reset_ms = await self._ledger.read(lambda c, name=target: _read(c, name, now_ms))  # type: ignore[misc]
            # A wall clock that was set back must not turn yesterday's repairs into tomorrow's.
            offset = steady_ms - now_ms
            past = tuple(_past(repair, offset, steady_ms) for repair in known)
            self._memories[target] = Memory(past, min(reset_ms + offset, steady_ms))

    async def forgive(self, target: str) -> int:
        """A person gives the whole budget back, and waits begin anew; the budget then. What is in flight still counts."""
        now_ms, steady_ms = epoch_ms(self._clock), self._steady_ms()
        await self._ledger.write(lambda c: repairs.forgive(c, target, now_ms))
        running = tuple(past for past in self._memories[target].past if past.ended_at_ms is None)
        self._memories[target] = Memory(running, steady_ms)
        log.warning(f"The repair budget of {target} was given back", event_name="repair.forgiven", target=target)
        self.kick()
        return self.budget(target)

    def kick(self) -> None:
        """Something changed: decide at once."""
        self._call.set()

    def budget(self, target: str) -> int:
        """Repairs that the budget of ``target`` still allows now."""
        return budget_left(self._memories[target], self._policy, self._steady_ms())

    def refusal(self, target: str) -> Refusal | None:
        """Why nothing was done when it was decided last."""
        return self._last_refusals.get(target)

    async def run(self) -> None:
        """Decide for ever; actions of all targets come one after the other."""
        while True:
            for target in self._memories:
                await self.consider(target)
            await either(self._clock, self._call, _LOOK_S)

    async def consider(self, target: str) -> None:
        """One decision about ``target`` and, when it is to act, the action."""
        view = await self._look(target)
        now_ms = self._steady_ms()
        before = self._memories[target]
        memory = forget_old(after_health(before, view.healthy_since_ms, self._policy, now_ms), now_ms)
        self._memories[target] = memory
        if memory.reset_at_ms - before.reset_at_ms > 60_000:
            wall_ms = epoch_ms(self._clock)
            await self._ledger.write(lambda c: repairs.keep_reset_at(c, target, wall_ms))
        self._meter.budget(target, budget_left(memory, self._policy, now_ms))
        decided = decide(view.scene, self._ladders[target], memory, self._policy, now_ms)
        if isinstance(decided, Refuse):
            await self._refused(target, view.scene.incident, decided)
            return
        self._last_refusals.pop(target, None)
        incident = view.scene.incident
        if incident is not None:
            await self._act(target, incident, decided, now_ms)

    async def _refused(self, target: str, incident: Incident | None, refused: Refuse) -> None:
        if refused.page and incident is not None:
            await self._page(incident)
        if self._last_refusals.get(target) is refused.why:
            return
        self._last_refusals[target] = refused.why
        if refused.why not in _SILENT:
            self._meter.refused(refused.why)
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
            self._told()

    async def _act(self, target: str, incident: Incident, act: Act, now_ms: int) -> None:
        if act.slow:
            await self._page(incident)
        rung, wall_ms = act.rung, epoch_ms(self._clock)
        self._count += 1
        repair = Repair(
            id=f"{incident.id}-{rung.action}-{wall_ms}-{self._count}",
            target=target,
            incident_id=incident.id,
            remediator=rung.remediator,
            action=rung.action,
            at_ms=wall_ms,
            ended_at_ms=None,
            result="running",
        )
        await self._ledger.write(lambda c: repairs.begin(c, repair))
        self._remember(target, Past(now_ms, incident.id, None, rung.restarts))
        log.warning(
            f"Repairing {target}: {rung.remediator} {rung.action}",
            event_name="repair.started",
            repair=repair.id,
            incident=incident.id,
            dry_run=self._dry_run,
        )
        repaired = await self._run(target, rung.remediator, rung.action, incident)
        ended_ms, steady_ms = epoch_ms(self._clock), self._steady_ms()
        self._replace_last(target, Past(now_ms, incident.id, steady_ms, rung.restarts, repaired.result == "skipped"))
        await self._ledger.write(lambda c: repairs.end(c, repair.id, ended_ms, repaired))
        self._meter.ended(rung.action, repaired.result)
        say = log.info if repaired.result in ("done", "dry_run") else log.warning
        say(
            f"Repair of {target} by {rung.remediator} {rung.action}: {repaired.result} {repaired.detail}".rstrip(),
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

    def _remember(self, target: str, past: Past) -> None:
        memory = self._memories[target]
        self._memories[target] = msgspec.structs.replace(memory, past=(*memory.past, past))

    def _replace_last(self, target: str, past: Past) -> None:
        memory = self._memories[target]
        self._memories[target] = msgspec.structs.replace(memory, past=(*memory.past[:-1], past))


def _read(connection: sqlite3.Connection, target: str, now_ms: int) -> tuple[list[Repair], int]:
    from_ms = max(now_ms - 2 * DAY_MS, repairs.forgiven_at(connection, target))
    return repairs.since(connection, target, from_ms), repairs.reset_at(connection, target)


def _past(repair: Repair, offset_ms: int, steady_ms: int) -> Past:
    at_ms = min(repair.at_ms + offset_ms, steady_ms)
    ended_ms = min((repair.ended_at_ms or repair.at_ms) + offset_ms, steady_ms)
    return Past(at_ms, repair.incident_id, ended_ms, repair.restarts, repair.result == "skipped")

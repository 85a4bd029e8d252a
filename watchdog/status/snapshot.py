"""Gathers the status view: one read of the ledger beside what is in memory, at most once in two seconds, a costly one less often."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping

import msgspec

from shared.clock import Clock
from shared.contract.keepalive import LastPing
from shared.loop_guard import LoopGuard
from watchdog.boot import Boot
from watchdog.domain.bars import daily
from watchdog.domain.target import TargetState
from watchdog.domain.uptime import DAY_MS, Uptime
from watchdog.flow.cycle import Cycle
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.remediator import RepairLoop
from watchdog.flow.timing import epoch_ms
from watchdog.flow.watch import Watch
from watchdog.ledger import history, pauses, repairs, settling, timeline
from watchdog.ledger.sqlite import Ledger
from watchdog.ledger.timeline import channel_name
from watchdog.settings import WatchdogSettings
from watchdog.status import schema

DAYS = 90
CURVE_SLOTS = 96
_FRESH_S = 2.0
_INCIDENTS = 20
_FLIPS = 20
_NOTICES = 20
_TRIES = 3


class StatusSnapshot:
    """``status()`` for all readers together: many open pages cost as much as one."""

    def __init__(
        self,
        *,
        settings: WatchdogSettings,
        clock: Clock,
        boot: Boot,
        ledger: Ledger,
        pipeline: Pipeline,
        dispatcher: Dispatcher,
        repair_loop: RepairLoop,
        watches: Mapping[str, Watch],
        cycle: Cycle,
        guard: LoopGuard,
    ) -> None:
        self._settings, self._clock, self._boot, self._ledger = settings, clock, boot, ledger
        self._pipeline, self._dispatcher, self._repairs = pipeline, dispatcher, repair_loop
        self._watches, self._cycle, self._guard = watches, cycle, guard
        self._turn = asyncio.Lock()
        self._made: tuple[float, schema.StatusView] | None = None
        self._changes = 0

    def forget(self) -> None:
        """Something has changed that a reader wants to see at once: what was gathered before is shown to nobody."""
        self._changes += 1
        self._made = None

    async def status(self) -> schema.StatusView:
        async with self._turn:
            if self._made is None or self._clock.monotonic() >= self._made[0]:
                return await self._gathered()
            return self._made[1]

    async def _gathered(self) -> schema.StatusView:
        for _ in range(_TRIES):
            began_s, changes = self._clock.monotonic(), self._changes
            made = await self._make()
            ended_s = self._clock.monotonic()
            if changes == self._changes:
                # A long history may cost half a second: then it is gathered less often, never more than a tenth of the time.
                self._made = (ended_s + max(_FRESH_S, 10 * (ended_s - began_s)), made)
                break
        # Changes that come faster than a view can be gathered: the newest one is shown, and kept for nobody.
        return made

    async def incidents(
        self, *, limit: int, before_ms: int | None = None, target: str | None = None
    ) -> list[schema.IncidentView]:
        """Newest first, with timelines."""
        now_ms = epoch_ms(self._clock)
        return await self._ledger.read(lambda c: _incidents(c, now_ms, limit, before_ms, target))

    async def _make(self) -> schema.StatusView:
        now_ms = epoch_ms(self._clock)
        # What is in memory was committed before it got there. Looked at first, it never claims what the ledger's
        # snapshot does not hold yet: an answered bot without a ping, an end without its incident.
        states = self._pipeline.states
        last_pings = {name: self._watches[name].counts.last for name in states}
        kept = await self._ledger.read(lambda c: self._read(c, now_ms))
        targets = tuple(self._target(states[name], last_pings[name], kept.targets[name]) for name in states)
        return schema.StatusView(
            generated_at_ms=now_ms,
            state=schema.gravest([target.state for target in targets]),
            watchdog=self._watchdog(),
            targets=targets,
            incidents=tuple(kept.incidents),
            pauses=tuple(kept.pauses),
            channels=tuple(kept.channels),
            repairs=tuple(kept.repairs),
            notices=tuple(kept.notices),
        )

    def _watchdog(self) -> schema.WatchdogView:
        settings, depth = self._settings, self._dispatcher.depth
        return schema.WatchdogView(
            version=self._boot.version,
            boot_id=self._boot.boot_id,
            started_at_ms=int(self._boot.started_at.timestamp() * 1000),
            uptime_ms=self._boot.age_ms(self._clock),
            enabled=settings.enabled,
            ping_interval_ms=settings.interval_ms,
            failure_threshold=settings.failure_threshold,
            cycle=self._cycle.number,
            last_cycle_age_ms=self._cycle.age_ms,
            loop_lag_ms=int(self._guard.lag_s * 1000),
            ledger_ok=self._pipeline.fault is None,
            outbox_rows=depth.rows,
            outbox_oldest_ms=depth.oldest_ms,
            remediation=tuple(name for name in settings.remediation if name != "none"),
            dry_run=settings.remediation_dry_run,
        )

    def _target(self, state: TargetState, last: LastPing | None, kept: _KeptTarget) -> schema.TargetView:
        watch = self._watches[state.target]
        age_s = watch.link.age_s
        repairs_on = bool(set(self._settings.remediation) - {"none"})
        return schema.TargetView(
            name=state.target,
            state=state.state,
            since_ms=state.since_ms,
            reason=kept.flips[0].reason if kept.flips else "not_seen_yet",
            consecutive_failures=state.failures,
            sessions_wanted=state.wanted,
            sessions_not_ready=state.not_ready,
            heartbeat=schema.HeartbeatView(watch.link.up, int(age_s * 1000) if age_s is not None else None),
            last_ping=schema.LastPingView(
                int(last.at.timestamp() * 1000), last.outcome, last.reason or "ok", last.latency_ms
            )
            if last is not None
            else None,
            uptime=kept.uptime,
            latency=kept.latency,
            days=tuple(kept.days),
            curve=tuple(kept.curve),
            flips=tuple(kept.flips),
            repair_budget=self._repairs.budget(state.target) if repairs_on else None,
            repair_refusal=self._repairs.refusal(state.target) if repairs_on else None,
        )

    def _read(self, connection: sqlite3.Connection, now_ms: int) -> _Kept:
        return _Kept(
            targets={name: _read_target(connection, name, now_ms) for name in self._pipeline.states},
            incidents=_incidents(connection, now_ms, _INCIDENTS, None, None),
            pauses=[
                schema.PauseView(
                    one.id, one.target, one.from_ms, one.until_ms, one.author, one.reason, one.from_ms <= now_ms
                )
                for one in pauses.current(connection, now_ms)
            ],
            channels=[
                schema.ChannelView(
                    channel_name(one.label, one.channel),
                    one.role,
                    one.failures,
                    one.failing_since_ms,
                    one.last_ok_at_ms,
                    one.last_reason,
                    one.waiting,
                )
                for one in settling.channel_states(connection, self._dispatcher.channels, self._dispatcher.labels)
            ],
            notices=timeline.newest_notices(connection, _NOTICES),
            repairs=[schema.RepairView(*msgspec.structs.astuple(one)) for one in repairs.newest(connection, 20)],
        )


class _KeptTarget(msgspec.Struct, frozen=True):
    uptime: dict[str, schema.UptimeView]
    latency: dict[str, schema.LatencyView]
    days: list[schema.DayView]
    curve: list[timeline.Slot]
    flips: list[schema.FlipView]


class _Kept(msgspec.Struct, frozen=True):
    """What the ledger gives, in one snapshot."""

    targets: dict[str, _KeptTarget]
    incidents: list[schema.IncidentView]
    pauses: list[schema.PauseView]
    channels: list[schema.ChannelView]
    repairs: list[schema.RepairView]
    notices: list[timeline.NoticeLine]


def _read_target(connection: sqlite3.Connection, name: str, now_ms: int) -> _KeptTarget:
    spans = history.spans(connection, name, now_ms - (DAYS + 1) * DAY_MS, now_ms)
    opened: dict[int, int] = {}
    for incident in timeline.incidents(connection, limit=10_000, target=name):
        opened[incident.opened_at_ms // DAY_MS] = opened.get(incident.opened_at_ms // DAY_MS, 0) + 1
    windows = {"24h": DAY_MS, "7d": 7 * DAY_MS}
    return _KeptTarget(
        uptime={key: uptime_view(value) for key, value in history.uptimes(connection, name, now_ms).items()},
        latency={
            key: schema.LatencyView(*msgspec.structs.astuple(history.latency(connection, name, now_ms - window)))
            for key, window in windows.items()
        },
        days=[
            schema.DayView(bar.day, bar.gap, uptime_view(bar.uptime), opened.get(bar.from_ms // DAY_MS, 0))
            for bar in daily(spans, now_ms, DAYS)
        ],
        # Up to this very millisecond, which a ping may have ended in.
        curve=timeline.curve(connection, name, now_ms + 1 - DAY_MS, now_ms + 1, CURVE_SLOTS),
        flips=[
            schema.FlipView(flip.at_ms, flip.since_ms, flip.old, flip.new, flip.reason)
            for flip in history.flips(connection, name, 0, 1 << 62, limit=_FLIPS)
        ],
    )


def _incidents(
    connection: sqlite3.Connection, now_ms: int, limit: int, before_ms: int | None, target: str | None
) -> list[schema.IncidentView]:
    found = timeline.incidents(connection, limit=limit, before_ms=before_ms, target=target)
    return [schema.incident_view(one, now_ms, timeline.timeline(connection, one, now_ms)) for one in found]


def uptime_view(value: Uptime) -> schema.UptimeView:
    return schema.UptimeView(value.ratio, value.up_ms, value.down_ms, value.unknown_ms, value.maintenance_ms)

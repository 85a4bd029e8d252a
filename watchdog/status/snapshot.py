"""Gathers the status view from memory and one ledger snapshot, and caches it for a while."""

from __future__ import annotations

import asyncio
import sqlite3

import msgspec
from aiohttp import web

from shared.clock import epoch_ms, to_ms
from watchdog.domain.bars import daily
from watchdog.domain.components import state_of
from watchdog.domain.decision import Decided
from watchdog.domain.joint import counted, view_of
from watchdog.domain.target import TargetState
from watchdog.domain.uptime import DAY_MS, Uptime
from watchdog.ledger import announcements, history, pauses, repairs, settling, timeline
from watchdog.parts import Parts
from watchdog.status import schema

DAYS = 90
CURVE_SLOTS = 96
_FRESH_S = 2.0
_INCIDENTS = 20
_FLIPS = 20
_NOTICES = 20
_REPAIRS = 20
_TRIES = 3


class StatusSnapshot:
    """``status()`` serves all readers: many open pages cost as much as one."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._base, self._ledger = parts, parts.base, parts.base.ledger
        self._clock = parts.base.clock
        self._turn = asyncio.Lock()
        self._made: tuple[float, schema.StatusView] | None = None
        self._changes = 0

    def invalidate(self) -> None:
        """A visible change: drop the cached view."""
        self._changes += 1
        self._made = None

    def on_decided(self, decided: Decided) -> None:
        if decided.step.flip or decided.closed:
            self.invalidate()

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
                # A long history may take half a second: gather at most a tenth of the time.
                self._made = (ended_s + max(_FRESH_S, 10 * (ended_s - began_s)), made)
                break
        # Changes came faster than a view can be gathered: show the newest, cache nothing.
        return made

    async def incidents(self, *, limit: int, before_ms: int | None, target: str | None) -> list[schema.IncidentView]:
        """Newest first, with timelines."""
        now_ms = epoch_ms(self._clock)
        return await self._ledger.read(lambda c: _incidents(c, now_ms, limit, before_ms, target))

    async def _make(self) -> schema.StatusView:
        now_ms = epoch_ms(self._clock)
        # Memory is read first: it holds only committed decisions, so it never claims what the
        # ledger's snapshot does not hold yet.
        watchdog = self._watchdog()
        targets = [self._target(state) for state in self._parts.pipeline.states.values()]
        return await self._ledger.read(lambda c: self._view(c, now_ms, watchdog, targets))

    def _view(
        self,
        connection: sqlite3.Connection,
        now_ms: int,
        watchdog: schema.WatchdogView,
        targets: list[schema.TargetView],
    ) -> schema.StatusView:
        dispatcher = self._parts.dispatcher
        return schema.StatusView(
            generated_at_ms=now_ms,
            state=schema.most_severe([target.state for target in targets]),
            watchdog=watchdog,
            targets=tuple(_with_history(connection, target, now_ms) for target in targets),
            incidents=tuple(_incidents(connection, now_ms, _INCIDENTS)),
            pauses=tuple(schema.pause_view(one, now_ms) for one in pauses.current(connection, now_ms)),
            channels=tuple(settling.channel_states(connection, dispatcher.channels, dispatcher.labels)),
            repairs=tuple(repairs.newest(connection, _REPAIRS)),
            notices=tuple(timeline.newest_notices(connection, _NOTICES)),
            announcements=tuple(schema.announcement_view(one) for one in announcements.current(connection, now_ms)),
        )

    def _watchdog(self) -> schema.WatchdogView:
        settings, depth = self._base.settings, self._parts.dispatcher.depth
        return schema.WatchdogView(
            version=self._base.boot.version,
            boot_id=self._base.boot.boot_id,
            started_at_ms=to_ms(self._base.boot.started_at),
            uptime_ms=self._base.boot.age_ms(self._clock),
            enabled=settings.enabled,
            ping_interval_ms=settings.interval_ms,
            failure_threshold=settings.failure_threshold,
            cycle=self._parts.cycle.number,
            last_cycle_age_ms=self._parts.cycle.age_ms,
            loop_lag_ms=int(self._base.guard.lag_s * 1000),
            ledger_ok=self._ledger.gap is None,
            history_gap_since_ms=self._ledger.gap.since_ms if self._ledger.gap is not None else None,
            history_gap_reason=self._ledger.gap.why if self._ledger.gap is not None else None,
            outbox_rows=depth.rows,
            outbox_oldest_ms=depth.oldest_ms,
            remediation=settings.repairs_by,
            dry_run=settings.remediation_dry_run,
        )

    def _target(self, state: TargetState) -> schema.TargetView:
        watch, repairs_on = self._parts.watches[state.target], bool(self._base.settings.repairs_by)
        link, last = watch.link, watch.counts.last
        refused = self._parts.repairs.refusal(state.target) if repairs_on else None
        return schema.TargetView(
            name=state.target,
            state=state.state,
            since_ms=state.since_ms,
            consecutive_failures=state.failures,
            sessions_total=state.total,
            sessions_wanted=state.wanted,
            sessions_ready=state.ready,
            sessions_not_ready=max(0, state.wanted - state.ready),
            sessions_needing_person=state.needs_person,
            heartbeat=schema.HeartbeatView(link.up, int(link.age_s * 1000) if link.age_s is not None else None),
            last_ping=schema.LastPingView(to_ms(last.at), last.outcome, last.reason or "ok", last.latency_ms)
            if last is not None
            else None,
            repair_budget=self._parts.repairs.budget(state.target) if repairs_on else None,
            repair_refusal=refused[0] if refused is not None else None,
            repair_refused_at_ms=refused[1] if refused is not None else None,
            seen=self._seen(state),
            components=tuple(
                schema.ComponentView(each.name, state_of(each, state.state, heard=link.up), each.wanted, each.ready)
                for each in watch.heartbeat.components
            ),
        )

    def _seen(self, state: TargetState) -> tuple[schema.SeenView, ...]:
        """This watchdog first; empty without peers."""
        others = self._parts.peers.others
        if not others:
            return ()
        now, policy = self._parts.steady_time.now(), self._parts.pipeline.policy
        voters = {vote.peer for vote in counted(state, policy, now)}
        rows = [schema.SeenView(policy.name, view_of(state, policy, now), 0, policy.name in voters)]
        for peer in others:
            said = peer.last.targets.get(state.target) if peer.last is not None else None
            view = "silent" if said is None or peer.absent else str(said.view)
            age_ms = None if peer.age_s is None else int(peer.age_s * 1000)
            rows.append(schema.SeenView(peer.name, view, age_ms, peer.name in voters))
        return tuple(rows)


SNAPSHOT: web.AppKey[StatusSnapshot] = web.AppKey("snapshot", StatusSnapshot)


def _with_history(connection: sqlite3.Connection, target: schema.TargetView, now_ms: int) -> schema.TargetView:
    name, flips = target.name, history.flips(connection, target.name, _FLIPS)
    spans = history.spans(connection, name, now_ms - (DAYS + 1) * DAY_MS, now_ms)
    opened: dict[int, int] = {}
    for incident in timeline.incidents(connection, limit=10_000, target=name):
        opened[incident.opened_at_ms // DAY_MS] = opened.get(incident.opened_at_ms // DAY_MS, 0) + 1
    windows = {"24h": DAY_MS, "7d": 7 * DAY_MS}
    return msgspec.structs.replace(
        target,
        reason=flips[0].reason if flips else target.reason,
        uptime={key: uptime_view(value) for key, value in history.uptimes(connection, name, now_ms).items()},
        latency={key: history.latency(connection, name, now_ms - window) for key, window in windows.items()},
        days=tuple(
            schema.DayView(bar.day, bar.gap, uptime_view(bar.uptime), opened.get(bar.from_ms // DAY_MS, 0), bar.filled)
            for bar in daily(spans, now_ms, DAYS)
        ),
        # Includes this very millisecond, in which a ping may have ended.
        curve=tuple(timeline.curve(connection, name, now_ms + 1 - DAY_MS, now_ms + 1, CURVE_SLOTS)),
        flips=flips,
    )


def _incidents(
    connection: sqlite3.Connection, now_ms: int, limit: int, before_ms: int | None = None, target: str | None = None
) -> list[schema.IncidentView]:
    found = timeline.incidents(connection, limit=limit, before_ms=before_ms, target=target)
    return [schema.incident_view(one, now_ms, timeline.timeline(connection, one, now_ms)) for one in found]


def uptime_view(value: Uptime) -> schema.UptimeView:
    return schema.UptimeView(
        value.ratio,
        value.up_ms,
        value.down_ms,
        value.unknown_ms,
        value.maintenance_ms,
        value.since_ms,
        value.degraded_ms,
    )

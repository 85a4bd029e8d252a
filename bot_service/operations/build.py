"""Builds what operators look at, statistics, retention and the watchdog's reports, and holds the parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from bot_service.boot import Boot
from bot_service.domain.ports import EngineSignal
from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import LINKED, State
from bot_service.events.build import Events
from bot_service.messages.build import Messages
from bot_service.messages.inbound import Batch
from bot_service.operations.heartbeat import HeartbeatPublisher
from bot_service.operations.metrics import AgesOfSessions, BotMetrics, ClientVersionFigures, QueueWatch
from bot_service.operations.rates import Rates
from bot_service.operations.retention import Retention, RetentionPolicy
from bot_service.operations.watchdog_reports import WatchdogReports
from bot_service.operations.watchdog_silence import WatchdogSilence
from bot_service.sessions.build import Sessions
from bot_service.sessions.outage import upstream_outage
from bot_service.settings import BotSettings
from bot_service.store.database import Database
from bot_service.webhooks.build import Webhooks
from shared.clock import Clock
from shared.gc_tuning import GcTuning
from shared.loop_guard import LoopGuard

Loop = tuple[str, Callable[[], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class Operations:
    """``heartbeat`` and ``watchdog_reports`` are the link with the watchdog; ``queues`` and ``rates`` feed the statistics."""

    ages: AgesOfSessions
    gc_tuning: GcTuning
    heartbeat: HeartbeatPublisher
    queues: QueueWatch
    rates: Rates
    retention: Retention
    watchdog_reports: WatchdogReports
    watchdog_silence: WatchdogSilence

    def loops(self) -> Iterator[Loop]:
        """The background loops by name."""
        yield "heartbeat", self.heartbeat.run
        yield "heap", self.gc_tuning.run
        yield "queues", self.queues.run
        yield "ages", self.ages.run
        yield "retention", self.retention.run
        yield "watchdog-silence", self.watchdog_silence.run


async def build(
    settings: BotSettings,
    clock: Clock,
    boot: Boot,
    guard: LoopGuard,
    metrics: BotMetrics,
    database: Database,
    sessions: Sessions,
    events: Events,
    messages: Messages,
    webhooks: Webhooks,
) -> Operations:
    """The parts; ``metrics`` follows sessions and messages from here on."""
    reports = WatchdogReports(clock, database)
    await reports.load()
    retention = RetentionPolicy(
        messages_ms=settings.message_retention_ms,
        events=settings.events_kept,
        retry_for_ms=settings.webhook_retry_for_ms,
    )
    ages = AgesOfSessions(clock, lambda: _ages_ms(sessions))
    metrics.registry.register(ages)
    metrics.registry.register(ClientVersionFigures(sessions.client_version.facts))
    _count(metrics, clock, sessions, messages)
    return Operations(
        ages=ages,
        gc_tuning=GcTuning(clock),
        heartbeat=HeartbeatPublisher(
            clock,
            boot,
            guard,
            sessions.registry,
            interval_ms=settings.heartbeat_interval_ms,
            starting=lambda: not sessions.restore.done,
            upstream_outage=lambda: upstream_outage(sessions.registry),
        ),
        queues=QueueWatch(clock, database),
        rates=Rates(),
        retention=Retention(clock, database, messages.media, retention, receivers_down=webhooks.dispatcher.paused),
        watchdog_reports=reports,
        watchdog_silence=WatchdogSilence(clock, reports, events.service_alerts),
    )


def _count(metrics: BotMetrics, clock: Clock, sessions: Sessions, messages: Messages) -> None:
    def changed(_record: SessionRecord, change: Transition) -> None:
        metrics.transition(change.reason, reconnect=change.to_state is State.RECONNECTING)

    def signalled(signal: EngineSignal) -> None:
        if signal.kind == SignalKind.MESSAGE_LOST:
            metrics.lost(str(signal.data.get("reason", "")))

    def committed(batch: Batch) -> None:
        metrics.took_in(batch, clock.now())

    messages.journal.on_commit(committed)
    sessions.supervisor.observers.append(changed)
    sessions.supervisor.signal_observers.append(lambda _session, kind: metrics.signal(kind))
    sessions.pool.on_signal(signalled)


def _ages_ms(sessions: Sessions) -> Iterator[tuple[int | None, int | None]]:
    for session in sessions.registry.ids():
        record = sessions.registry.get(session)
        if record is not None and record.state in LINKED:
            yield sessions.pool.frame_ages_ms(session)

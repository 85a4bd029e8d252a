"""Builds the parts for operators: statistics, retention and the link with the watchdog."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bot_service.domain.session_record import SessionRecord, Signal, Transition
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import LINKED, State
from bot_service.events.build import Events
from bot_service.messages.build import Messages
from bot_service.operations.attention import AttentionNotices
from bot_service.operations.clock_watch import ClockWatch
from bot_service.operations.collectors import AnnouncedClientVersion, SessionAges
from bot_service.operations.figures import MessageRates, QueueReader
from bot_service.operations.health import unhealthy_reasons
from bot_service.operations.heartbeat import HeartbeatPublisher
from bot_service.operations.metrics import BotMetrics
from bot_service.operations.retention import Retention, RetentionPolicy
from bot_service.operations.run_history import RunHistory
from bot_service.operations.store_damage import StoreDamage
from bot_service.operations.watchdog_reports import WatchdogReports
from bot_service.operations.watchdog_silence import WatchdogSilence
from bot_service.sessions.build import Sessions
from bot_service.settings import BotSettings
from bot_service.store.database import Database
from bot_service.webhooks.build import Webhooks
from shared.boot import Boot
from shared.clock import Clock
from shared.gc_tuning import GcTuning
from shared.loop_guard import LoopGuard
from shared.service_clock import Move, ServiceClock
from shared.tasks import Loop


@dataclass(frozen=True, slots=True)
class Operations:
    """``heartbeat`` and ``watchdog_reports`` connect to the watchdog."""

    ages: SessionAges
    attention: AttentionNotices
    clock_watch: ClockWatch
    gc_tuning: GcTuning
    heartbeat: HeartbeatPublisher
    queues: QueueReader
    rates: MessageRates
    retention: Retention
    store_damage: StoreDamage
    # Given the loops that have ended, by name.
    unhealthy_reasons: Callable[[Iterable[str]], list[str]]
    watchdog_reports: WatchdogReports
    watchdog_silence: WatchdogSilence

    def loops(self) -> Iterator[Loop]:
        """The background loops by name."""
        yield "attention", self.attention.run
        yield "heartbeat", self.heartbeat.run
        yield "clock", self.clock_watch.run
        yield "heap", self.gc_tuning.run
        yield "queues", self.queues.run
        yield "ages", self.ages.run
        yield "retention", self.retention.run
        yield "store-damage", self.store_damage.run
        yield "watchdog-silence", self.watchdog_silence.run


async def build(
    settings: BotSettings,
    clock: ServiceClock,
    boot: Boot,
    history: RunHistory,
    guard: LoopGuard,
    metrics: BotMetrics,
    database: Database,
    sessions: Sessions,
    events: Events,
    messages: Messages,
    webhooks: Webhooks,
) -> Operations:
    """The parts; ``metrics`` counts sessions and messages from now on."""
    reports = WatchdogReports(clock, database)
    await reports.load()
    retention = RetentionPolicy(
        messages_ms=settings.message_retention_ms,
        events=settings.events_kept,
        retry_for_ms=settings.webhook_retry_for_ms,
    )
    ages = SessionAges(clock, lambda: _ages_ms(sessions))
    metrics.registry.register(ages)
    metrics.registry.register(AnnouncedClientVersion(sessions.client_version.facts))
    _count(metrics, clock, sessions, messages)
    attention = AttentionNotices(
        clock,
        boot,
        sessions.registry,
        sessions.store,
        events.publisher,
        events.subscriptions,
        page=settings.reached_at or f"http://localhost:{settings.port}",
        installation=settings.installed,
    )
    return Operations(
        ages=ages,
        attention=attention,
        clock_watch=_clock_watch(settings, clock, metrics, database, sessions, webhooks),
        gc_tuning=GcTuning(clock),
        heartbeat=HeartbeatPublisher(
            clock,
            boot,
            guard,
            sessions.registry,
            interval_ms=settings.heartbeat_interval_ms,
            starting=lambda: not sessions.restore.done,
            upstream_outage=sessions.registry.upstream_outage,
            attention=lambda: attention.revision,
            listening=attention.listening,
            orderly_stops=lambda: history.orderly_stops,
            components=settings.status_components,
        ),
        queues=QueueReader(clock, database),
        rates=MessageRates(),
        retention=Retention(
            clock,
            database,
            messages.media,
            retention,
            receivers_down=webhooks.dispatcher.paused,
            leads=sessions.lanes.leads,
        ),
        store_damage=StoreDamage(clock, database, events.subscriptions, events.ids, webhooks.call, settings.installed),
        unhealthy_reasons=lambda dead_loops: unhealthy_reasons(dead_loops, sessions, messages, database),
        watchdog_reports=reports,
        watchdog_silence=WatchdogSilence(clock, reports, events.service_alerts, leads=sessions.lanes.leads),
    )


def _clock_watch(
    settings: BotSettings,
    clock: ServiceClock,
    metrics: BotMetrics,
    database: Database,
    sessions: Sessions,
    webhooks: Webhooks,
) -> ClockWatch:
    def moved(move: Move) -> None:
        sessions.supervisor.move(move)
        sessions.receive_probe.forget()
        webhooks.dispatcher.move(move)

    watch = ClockWatch(clock, database, sessions.registry, sessions.store, run_dir=settings.data_dir / "run")
    watch.moved.subscribe(moved)
    watch.stepped.subscribe(lambda _step_ms: metrics.clock_steps.inc())
    metrics.clock_ahead.set_function(lambda: clock.ahead_ms() / 1000)
    return watch


def _count(metrics: BotMetrics, clock: Clock, sessions: Sessions, messages: Messages) -> None:
    def changed(_record: SessionRecord, change: Transition) -> None:
        metrics.transition(change.reason, reconnect=change.to_state is State.RECONNECTING)

    def signalled(_session: str, signal: Signal) -> None:
        metrics.signal(signal.kind)
        if signal.kind is SignalKind.MESSAGE_LOST:
            metrics.message_lost(str(signal.data.get("reason", "")))

    messages.journal.lost.subscribe(lambda loss: metrics.message_lost("journal", loss.records))
    messages.journal.committed.subscribe(lambda batch: metrics.batch_stored(batch, clock.now()))
    sessions.supervisor.transitioned.subscribe(changed)
    sessions.supervisor.signalled.subscribe(signalled)


def _ages_ms(sessions: Sessions) -> Iterator[tuple[int | None, int | None]]:
    for session in sessions.registry.ids():
        record = sessions.registry.get(session)
        if record is not None and record.state in LINKED:
            yield sessions.pool.frame_ages_ms(session)

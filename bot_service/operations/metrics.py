"""Every figure of the bot service under the names of docs/architecture.md; no label ever holds an id or a number of a person."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from bot_service.domain.signals import SignalKind
from bot_service.events.ids import at_ms
from bot_service.messages.inbound import Batch
from bot_service.sessions.client_version import VersionFacts
from bot_service.store import deliveries, send_queue
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, to_ms
from shared.cooperative import CooperativeLoop

log = logs.get(__name__)

PREFIX = "veilleur_bot_"
AGE_BUCKETS_S = (1, 5, 15, 30, 60, 120, 300, 900, 3600, 21_600, 86_400)
LOST_REASONS = ("sent_between", "too_much", "doubtful", "store", "other")
_REASONS = 100  # a label value beyond these counts as "other": reasons may come from the outside


class BotMetrics:
    """Counters are moved by those who know; gauges are set when somebody scrapes."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        self.registry = registry
        self._reasons: set[str] = set()
        self.received_total = self.duplicates_total = self.sent_total = self.failed_total = 0

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(PREFIX + name, text, labels, registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=registry)

        self.sessions = gauge("sessions", "Sessions by state", ("state",))
        self.sessions_wanted = gauge("sessions_wanted", "Sessions that should run")
        self.sessions_ready = gauge("sessions_ready", "Sessions that are READY")
        self.silence_suspected = gauge("session_silence_suspected", "Sessions whose receive path is suspected")
        self._transitions = counter("session_transitions_total", "Changes of state by reason", ("reason",))
        self._reconnects = counter("session_reconnects_total", "Reconnects by reason", ("reason",))
        self.probe_round_trip = Histogram(
            PREFIX + "probe_round_trip_seconds",
            "Round trip of receive probes",
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=registry,
        )
        self.journal_lag = gauge("journal_lag_seconds", "Age of the newest inbound message when it was stored")
        self.journal_behind = gauge("journal_behind_bytes", "Bytes in journals that are not in the store yet")
        self.messages_in = counter("messages_in_total", "Inbound messages stored")
        self.duplicates = counter("messages_duplicate_total", "Inbound messages dropped as duplicates")
        self._lost = counter(
            "messages_lost_total",
            "Inbound messages that a kill may have lost or that stayed unreadable, by reason",
            ("reason",),
        )
        for reason in LOST_REASONS:
            self._lost.labels(reason)  # from 0 on, so that the first one is seen as a rise
        self.messages_out = counter("messages_out_total", "Messages of ours by the state they reached", ("state",))
        self.webhook_oldest = gauge("webhook_outbox_oldest_seconds", "Age of the oldest webhook delivery that waits")
        self.webhook_deliveries = counter("webhook_deliveries_total", "Attempts at webhooks by result", ("result",))
        self.dead_letters = gauge("dead_letters", "Webhook deliveries that were given up")
        self.outbox_oldest = gauge("outbox_oldest_seconds", "Age of the oldest message that waits to be sent")
        self._signals = counter("engine_signals_total", "What the engine said of sessions, by kind", ("kind",))
        self._refused = counter(
            "client_version_refused_total", "Logins that WhatsApp refused because of the client version"
        )
        self._checks = counter(
            "client_version_checks_total",
            "Reads of the page that publishes WhatsApp's client version, by result",
            ("result",),
        )
        self._worker_restarts = counter("worker_restarts_total", "Engine workers replaced, by reason", ("reason",))
        self.loop_lag = gauge("loop_lag_seconds", "How late the event loop last was")
        self.push_age = gauge("watchdog_push_age_seconds", "Time since the watchdog's last push, -1 before the first")
        self.watchdog_silent = gauge("watchdog_silent", "1 when the watchdog has gone silent")
        gauge("info", "Always 1", ("version",)).labels(version).set(1)

    def transition(self, reason: str, *, reconnect: bool) -> None:
        self._transitions.labels(self._bounded(reason)).inc()
        if reconnect:
            self._reconnects.labels(self._bounded(reason)).inc()

    def signal(self, kind: SignalKind) -> None:
        """One signal of the engine: messages that cannot be read, missed keepalives, refusals and all the others."""
        self._signals.labels(kind.value).inc()
        if kind is SignalKind.OUTDATED:
            self._refused.inc()

    def webhook_attempted(self, result: str) -> None:
        self.webhook_deliveries.labels(result).inc()

    def client_version_checked(self, result: str) -> None:
        self._checks.labels(result).inc()

    def took_in(self, batch: Batch, now: datetime) -> None:
        """One commit of the journal."""
        self.messages_in.inc(len(batch.messages))
        self.duplicates.inc(batch.duplicates)
        self.received_total += len(batch.messages)
        self.duplicates_total += batch.duplicates
        for state, count in batch.moved.items():
            self.messages_out.labels(state).inc(count)
        if batch.oldest_ms is not None:
            self.journal_lag.set(max(0.0, (to_ms(now) - batch.oldest_ms) / 1000))

    def lost(self, reason: str) -> None:
        """An engine decrypted a message and may not have kept it; its log names the message."""
        self._lost.labels(reason if reason in LOST_REASONS else "other").inc()

    def ended(self, state: str) -> None:
        """A message of ours left the queue as ``sent`` or ``failed``."""
        self.messages_out.labels(state).inc()
        self.sent_total += state == "sent"
        self.failed_total += state == "failed"

    def worker_restarted(self, reason: str) -> None:
        self._worker_restarts.labels(self._bounded(reason)).inc()

    def _bounded(self, reason: str) -> str:
        if reason in self._reasons or len(self._reasons) < _REASONS:
            self._reasons.add(reason)
            return reason
        return "other"


class MemoryOfWorkers(Collector):
    """Resident bytes of the engine workers that live now, by place (0, 1, …) and not by id, which every restart renews."""

    def __init__(self, resident_bytes: Callable[[], Iterable[int]]) -> None:
        self._resident_bytes = resident_bytes

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(PREFIX + "worker_resident_bytes", "Memory of engine workers", labels=["worker"])
        for place, count in enumerate(self._resident_bytes()):
            family.add_metric([str(place)], count)
        yield family


class ClientVersionFigures(Collector):
    """What new engine workers announce to WhatsApp, as of the moment of the scrape."""

    def __init__(self, facts: Callable[[], VersionFacts]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts, name = self._facts(), PREFIX + "client_version_"
        outdated = GaugeMetricFamily(name + "outdated", "1 while WhatsApp refuses the client version and logins wait")
        outdated.add_metric([], float(facts.outdated))
        yield outdated
        builtin_used = GaugeMetricFamily(
            name + "builtin_used", "1 while the chosen client version cannot be announced, by reason", labels=["reason"]
        )
        if facts.problem_reason is not None:
            builtin_used.add_metric([facts.problem_reason], 1.0)
        yield builtin_used
        if facts.version is None or facts.source is None or facts.age_days is None:
            return
        info = GaugeMetricFamily(name + "info", "Always 1: the announced client version", labels=["version", "source"])
        info.add_metric([facts.version, facts.source.value], 1.0)
        yield info
        age = GaugeMetricFamily(name + "age_days", "About how many days ago the announced client version was published")
        age.add_metric([], facts.age_days)
        yield age


class AgesOfSessions(Collector):
    """How long ago sessions heard something, as histograms over the sessions of this moment: never one series a session.

    ``ages_ms()`` yields (since the last frame, since the last inbound), None when unknown. A scrape gets what the loop
    found last, in slices: nobody waits until ten thousand sessions are counted.
    """

    def __init__(
        self, clock: Clock, ages_ms: Callable[[], Iterable[tuple[int | None, int | None]]], *, every_s: float = 10.0
    ) -> None:
        self._clock, self._ages_ms, self._every_s = clock, ages_ms, every_s
        self._counts = _Counts(), _Counts()

    async def run(self) -> None:
        """The loop."""
        while True:
            await self.look()
            await self._clock.sleep(self._every_s)

    async def look(self) -> None:
        frames, inbound = _Counts(), _Counts()
        breath = CooperativeLoop()
        for frame_ms, inbound_ms in self._ages_ms():
            frames.add(frame_ms)
            inbound.add(inbound_ms)
            if breath.spent:
                await breath.take()
        self._counts = frames, inbound

    def collect(self) -> Iterator[Metric]:
        frames, inbound = self._counts
        yield frames.family("seconds_since_last_frame", "Ages of the last frame over all connected sessions")
        yield inbound.family("seconds_since_last_inbound", "Ages of the last inbound over all connected sessions")


class _Counts:
    def __init__(self) -> None:
        self._in_bucket = [0] * (len(AGE_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, age_ms: int | None) -> None:
        if age_ms is None:
            return
        age_s = age_ms / 1000
        self._in_bucket[bisect_left(AGE_BUCKETS_S, age_s)] += 1
        self._sum_s += age_s

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        buckets: list[tuple[str, float]] = []
        total = 0
        for count, bound in zip(self._in_bucket, (*map(float, AGE_BUCKETS_S), "+Inf"), strict=True):
            total += count
            buckets.append((str(bound), total))
        return HistogramMetricFamily(PREFIX + name, text, buckets=buckets, sum_value=self._sum_s)


@dataclass(slots=True)
class QueueFigures:
    """Ages in seconds, as of the last look at the store."""

    webhook_oldest_s: float = 0.0
    send_oldest_s: float = 0.0
    dead_letters: int = 0


class QueueWatch:
    """Looks at the queues in the store every few seconds, so that a scrape never waits for a query."""

    def __init__(self, clock: Clock, database: Database, *, every_s: float = 5.0) -> None:
        self._clock, self._database, self._every_s = clock, database, every_s
        self.figures = QueueFigures()
        self.looked = asyncio.Event()

    async def run(self) -> None:
        """The loop."""
        while True:
            try:
                await self.look()
            except STORE_ERRORS as error:
                log.warning("The queues could not be read", event_name="queues.store", error=type(error).__name__)
            await self._clock.sleep(self._every_s)

    async def look(self) -> None:
        async with self._database.read() as connection:
            dead, event = await deliveries.counts(connection)
            position = await send_queue.oldest(connection)
        now_ms = to_ms(self._clock.now())
        self.figures = QueueFigures(_age_s(event, now_ms), _age_s(position, now_ms), dead)
        self.looked.set()


def _age_s(made: str | None, now_ms: int) -> float:
    return 0.0 if made is None else max(0.0, (now_ms - at_ms(made)) / 1000)

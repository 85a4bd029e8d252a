"""Metrics of the bot service. No label ever holds an id or a person's number."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bot_service.domain.signals import SignalKind
from bot_service.messages.inbound import Batch
from shared.clock import to_ms
from shared.web.metrics import Scrapes

PREFIX = "veilleur_bot_"
LOST_REASONS = ("sent_between", "too_much", "doubtful", "store", "unreadable", "journal", "other")
_REASONS = 100  # further label values count as "other": reasons may come from the outside


class BotMetrics:
    """Counters grow with each event; gauges are set at a scrape."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        self.registry, self.scrapes = registry, Scrapes(registry)
        self._reasons: set[str] = set()
        self.received_total = self.duplicates_total = self.sent_total = self.failed_total = 0

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(PREFIX + name, text, labels, registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=registry)

        self.sessions = gauge("sessions", "Sessions by state", ("state",))
        self.sessions_wanted = gauge("sessions_wanted", "Sessions that should run")
        self.sessions_ready = gauge("sessions_ready", "Sessions that should run and are READY")
        self.sessions_needing_person = gauge(
            "sessions_needing_person", "Sessions that cannot go on, or receive, without a person"
        )
        self.silence_suspected = gauge("session_silence_suspected", "Sessions with a suspected receive path")
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
        self.deleted_sessions = counter(
            "messages_of_deleted_sessions_total", "Messages and receipts that were dropped with their session"
        )
        self._lost = counter(
            "messages_lost_total",
            "Inbound messages that a kill or a damaged journal may have lost or that stayed unreadable, by reason",
            ("reason",),
        )
        for reason in LOST_REASONS:
            self._lost.labels(reason)  # from 0 on, so that the first one shows as a rise
        self.messages_out = counter("messages_out_total", "Sent messages by the state they reached", ("state",))
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
        self.clock_steps = counter("clock_steps_total", "Times that the wall clock of the machine was set")
        self.clock_ahead = gauge("clock_ahead_seconds", "How far the wall clock is ahead of the service clock")
        self.push_age = gauge("watchdog_push_age_seconds", "Time since the watchdog's last push, -1 before the first")
        self.watchdog_silent = gauge("watchdog_silent", "1 when the watchdog has gone silent")
        gauge("info", "Always 1", ("version",)).labels(version).set(1)

    def transition(self, reason: str, *, reconnect: bool) -> None:
        self._transitions.labels(self._bounded(reason)).inc()
        if reconnect:
            self._reconnects.labels(self._bounded(reason)).inc()

    def signal(self, kind: SignalKind) -> None:
        """Count a signal of the engine."""
        self._signals.labels(kind.value).inc()
        if kind is SignalKind.OUTDATED:
            self._refused.inc()

    def webhook_attempted(self, result: str) -> None:
        self.webhook_deliveries.labels(result).inc()

    def client_version_checked(self, result: str) -> None:
        self._checks.labels(result).inc()

    def batch_stored(self, batch: Batch, now: datetime) -> None:
        """Count what one transaction of the journal reader stored."""
        self.messages_in.inc(len(batch.messages))
        self.duplicates.inc(batch.duplicates)
        self.received_total += len(batch.messages)
        self.duplicates_total += batch.duplicates
        if batch.dropped:
            self.deleted_sessions.inc(sum(batch.dropped.values()))
        for state, count in batch.moved.items():
            self.messages_out.labels(state).inc(count)
        if batch.oldest_ms is not None:
            self.journal_lag.set(max(0.0, (to_ms(now) - batch.oldest_ms) / 1000))

    def message_lost(self, reason: str, count: int = 1) -> None:
        """Count messages that were received and may not be stored; the log names them."""
        self._lost.labels(reason if reason in LOST_REASONS else "other").inc(count)

    def message_ended(self, state: str) -> None:
        """Count a message that left the queue as ``sent`` or ``failed``."""
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

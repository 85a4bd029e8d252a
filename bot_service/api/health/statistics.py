"""``GET /api/metrics``: statistics as JSON for people; sets the gauges at a Prometheus scrape."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.domain import version_problems
from bot_service.domain.client_version import Source
from bot_service.domain.states import State
from bot_service.sessions.client_version import VersionFacts
from shared.web.body import json_response


class Memory(msgspec.Struct, frozen=True, rename="camel"):
    rss_bytes: int
    peak_rss_bytes: int


class SessionStatistics(msgspec.Struct, frozen=True, rename="camel"):
    """``wanted`` should run, ``ready`` of them are READY; ``byState`` leaves out states without a session."""

    total: int
    wanted: int
    ready: int
    need_person: int
    by_state: dict[State, int]


class MessageStatistics(msgspec.Struct, frozen=True, rename="camel"):
    received: int
    duplicates: int
    sent: int
    failed: int
    received_per_minute: float
    sent_per_minute: float
    waiting_to_be_stored_bytes: int
    oldest_to_send_ms: int


class WebhookStatistics(msgspec.Struct, frozen=True, rename="camel"):
    count: int
    receivers_down: int
    dead_letters: int
    oldest_waiting_ms: int


class VersionStatistics(msgspec.Struct, frozen=True, rename="camel"):
    """The version that new logins announce to WhatsApp, and what is known of others.

    ``ageDays`` is about how long ago it was published. ``outdated``: WhatsApp refuses it and all
    logins wait. ``refused`` are versions that WhatsApp refused. ``published`` was read from
    WhatsApp's page, ``checkedAt`` and ``checkResult`` are of the last look there. ``problem`` and
    ``problemReason`` say why the engine's own version is used and not the chosen one.
    """

    version: str | None
    source: Source | None
    age_days: float | None
    outdated: bool
    refused: list[str]
    published: str | None
    checked_at: str | None
    check_result: str | None
    problem: str | None
    problem_reason: str | None


class Statistics(msgspec.Struct, frozen=True, rename="camel"):
    """Durations in milliseconds, memory in bytes, rates a minute. ``alerts`` are those of the
    service itself. ``clientVersion`` is null when the engine announces none."""

    version: str
    boot_id: str
    uptime: int
    memory: Memory
    loop_lag_ms: int
    sessions: SessionStatistics
    messages: MessageStatistics
    webhooks: WebhookStatistics
    alerts: list[str]
    client_version: VersionStatistics | None


async def read(request: web.Request) -> web.Response:
    """From memory only."""
    app = request.app
    boot, registry, metrics = app[keys.RUN].boot, app[keys.SESSIONS].registry, app[keys.METRICS]
    clock = app[keys.CLOCK]
    queues = app[keys.OPERATIONS].queues.figures
    received, sent = metrics.received_total, metrics.sent_total
    rate = app[keys.OPERATIONS].rates
    rate.note(clock.monotonic(), received, sent)
    received_per_minute, sent_per_minute = rate.per_minute(clock.monotonic(), received, sent)
    return json_response(
        Statistics(
            version=boot.version,
            boot_id=boot.boot_id,
            uptime=boot.age_ms(clock),
            memory=Memory(resident_bytes(), _peak_bytes()),
            loop_lag_ms=int(app[keys.RUN].guard.lag_s * 1000),
            sessions=SessionStatistics(
                total=len(registry),
                wanted=registry.wanted,
                ready=registry.wanted_ready,
                need_person=registry.needing_person,
                by_state={state: count for state, count in registry.by_state.items() if count},
            ),
            messages=MessageStatistics(
                received=received,
                duplicates=metrics.duplicates_total,
                sent=sent,
                failed=metrics.failed_total,
                received_per_minute=received_per_minute,
                sent_per_minute=sent_per_minute,
                waiting_to_be_stored_bytes=app[keys.MESSAGES].journal.behind_bytes(),
                oldest_to_send_ms=int(queues.send_oldest_s * 1000),
            ),
            webhooks=WebhookStatistics(
                count=len(app[keys.EVENTS].subscriptions.all()),
                receivers_down=len(app[keys.WEBHOOKS].dispatcher.paused()),
                dead_letters=queues.dead_letters,
                oldest_waiting_ms=int(queues.webhook_oldest_s * 1000),
            ),
            alerts=sorted(app[keys.EVENTS].service_alerts.raised),
            client_version=_client_version(app[keys.SESSIONS].client_version.facts()),
        )
    )


def _client_version(facts: VersionFacts) -> VersionStatistics | None:
    if not facts.announces:
        return None
    return VersionStatistics(
        version=facts.version,
        source=facts.source,
        age_days=facts.age_days,
        outdated=facts.outdated,
        refused=list(facts.refused),
        published=facts.published,
        checked_at=facts.checked_at,
        check_result=facts.check_result,
        # Anybody may read this: the log has the detail, which names a folder.
        problem=None if facts.problem_reason is None else version_problems.sentence(facts.problem_reason),
        problem_reason=facts.problem_reason,
    )


def resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return _peak_bytes()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def refresh(app: web.Application) -> None:
    """Set the gauges that are read only at a scrape."""
    metrics, registry, operations = app[keys.METRICS], app[keys.SESSIONS].registry, app[keys.OPERATIONS]
    journal = app[keys.MESSAGES].journal
    counts = registry.by_state
    for state in State:
        metrics.sessions.labels(state.value).set(counts.get(state, 0))
    metrics.sessions_wanted.set(registry.wanted)
    metrics.sessions_ready.set(registry.wanted_ready)
    metrics.sessions_needing_person.set(registry.needing_person)
    metrics.silence_suspected.set(registry.suspected)
    queues = operations.queues.figures
    metrics.webhook_oldest.set(queues.webhook_oldest_s)
    metrics.outbox_oldest.set(queues.send_oldest_s)
    metrics.dead_letters.set(queues.dead_letters)
    metrics.journal_behind.set(journal.behind_bytes())
    if journal.behind_bytes() == 0:
        # Nothing waits: an old figure would look like a lag.
        metrics.journal_lag.set(0.0)
    metrics.loop_lag.set(app[keys.RUN].guard.lag_s)
    age_s = operations.watchdog_reports.age_s()
    metrics.push_age.set(-1.0 if age_s is None else age_s)
    metrics.watchdog_silent.set(operations.watchdog_reports.silent())

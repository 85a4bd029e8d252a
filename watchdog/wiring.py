"""Makes the parts that watch one target, from settings; called by ``app.py`` only."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from shared.contract import heartbeat
from watchdog import keys
from watchdog.bot_report import snapshot
from watchdog.bot_report.pusher import Pusher
from watchdog.domain.policy import Policy
from watchdog.flow.counts import Counts
from watchdog.flow.decision_log import DecisionLog
from watchdog.flow.heartbeat_facts import HeartbeatFacts
from watchdog.flow.schedule import Schedule
from watchdog.flow.watch import Watch
from watchdog.probes.heartbeat_link import HeartbeatLink
from watchdog.probes.http_ping import HttpPinger
from watchdog.probes.self_check import SelfCheck, is_near
from watchdog.settings import WatchdogSettings


def policy(settings: WatchdogSettings) -> Policy:
    """What the operator wishes, as the decisions take it."""
    return Policy(
        interval_ms=settings.interval_ms,
        retry_ms=settings.retry_interval_ms,
        down_interval_ms=settings.down_interval_ms,
        threshold=settings.failure_threshold,
        recovery=settings.recovery_threshold,
        blind_threshold=settings.failure_threshold,
        refused_threshold=settings.failure_threshold,
        flap_changes=settings.flap_changes,
        flap_stable_ms=settings.flap_stable_ms,
        degraded_share=settings.degraded_session_share,
        degraded_after_ms=settings.degraded_after_ms,
    )


def watch(app: web.Application, target: str, url: str) -> Watch:
    """Everything that watches ``target``; its tellers are hung into the pipeline, nothing runs yet."""
    settings, clock, pipeline, meter = app[keys.SETTINGS], app[keys.CLOCK], app[keys.PIPELINE], app[keys.METER]
    guard, boot = app[keys.GUARD], app[keys.BOOT]
    counts = Counts()
    listeners: list[HeartbeatFacts] = []
    own_port = app[keys.OWN_PORT]
    self_check = SelfCheck(
        near=is_near(urlsplit(url).hostname or ""),
        canaries=settings.canary_urls,
        own_port=lambda: own_port[0] if own_port else None,
        worst_stall_s=guard.worst_stall_s,
        own_host=settings.host if settings.host not in (None, "0.0.0.0", "::") else "127.0.0.1",
    )
    pinger = HttpPinger(
        target=target,
        url=f"{url}/health",
        timeout_s=settings.timeout_ms / 1000,
        retry_s=settings.retry_interval_ms / 1000,
        clock=clock,
        self_check=self_check,
        since=lambda: listeners[0].since_ms,
        on_attempt=meter.attempt(target),
    )
    schedule = Schedule(
        target=target,
        pinger=pinger,
        pipeline=pipeline,
        clock=clock,
        moments=app[keys.MOMENTS],
        start_delay_s=settings.start_delay_ms / 1000,
    )
    listener = HeartbeatFacts(target=target, pipeline=pipeline, schedule=schedule)
    listeners.append(listener)
    link = HeartbeatLink(
        url=url + heartbeat.PATH,
        token=app[keys.TOKEN],
        interval_s=settings.heartbeat_interval_ms / 1000,
        clock=clock,
        listener=listener,
    )
    pusher = Pusher(
        url=url,
        token=app[keys.TOKEN],
        interval_s=settings.push_interval_ms / 1000,
        clock=clock,
        build=snapshot.builder(
            target=target,
            health_url=f"{url}/health",
            settings=settings,
            boot=boot,
            clock=clock,
            counts=counts,
            cycle=app[keys.CYCLE],
            pipeline=pipeline,
            dispatcher=app[keys.DISPATCHER],
            ledger=app[keys.LEDGER],
            guard=guard,
        ),
        on_result=meter.pushed,
    )
    story = DecisionLog(
        target=target,
        counts=counts,
        stats_every=settings.stats_every,
        threshold=settings.failure_threshold,
        uptime_ms=lambda: boot.age_ms(clock),
        several=len(settings.targets) > 1,
    )

    pipeline.tell(counts.take, of=target)
    pipeline.tell(story.take, of=target)
    pipeline.tell(lambda decided: pusher.soon(urgent=decided.step.flip is not None), of=target)
    return Watch(target, url, counts, schedule, link, pusher, listener)

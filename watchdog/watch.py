"""Everything that watches one target, built from settings."""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.contract.identity import Identity
from shared.tasks import TaskGroupOfLoops
from watchdog.base import Base
from watchdog.bot_report.pusher import Pusher
from watchdog.bot_report.snapshot import ReportBuilder
from watchdog.flow.attention import SessionAttention
from watchdog.flow.counts import Counts
from watchdog.flow.cycle import Cycle
from watchdog.flow.decision_log import DecisionLog
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.heartbeat_facts import HeartbeatFacts
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.schedule import Schedule
from watchdog.flow.steady_time import SteadyTime
from watchdog.metrics.pings import PingMetrics
from watchdog.notifiers import table
from watchdog.notifiers.log import LogNotifier
from watchdog.probes.health_answer import KnownBoots
from watchdog.probes.heartbeat_link import HeartbeatLink
from watchdog.probes.http_ping import HttpPinger
from watchdog.probes.self_check import SelfCheck, is_near


class Watch:
    """Pinger, schedule, heartbeat link and pusher of ``target`` at the base address ``url``.

    The constructor subscribes them to the pipeline; nothing runs before :meth:`start`.
    """

    def __init__(
        self,
        target: str,
        url: str,
        base: Base,
        *,
        steady_time: SteadyTime,
        pipeline: Pipeline,
        dispatcher: Dispatcher,
        cycle: Cycle,
        metrics: PingMetrics,
    ) -> None:
        settings, clock = base.settings, base.clock
        witnesses = table.hosts(settings.alert_urls) if settings.peers else ()
        self.target, self.url, self.health_url = target, url, f"{url}/health"
        self.counts = Counts()
        pinger = HttpPinger(
            target=target,
            url=self.health_url,
            timeout_s=settings.timeout_ms / 1000,
            retry_s=settings.retry_interval_ms / 1000,
            clock=clock,
            self_check=SelfCheck(
                near=is_near(urlsplit(url).hostname or "") and not witnesses,
                canaries=settings.canary_urls or witnesses,
                own_port=base.own_port,
                worst_stall_s=base.guard.worst_stall_s,
                own_host=settings.host if settings.host not in (None, "0.0.0.0", "::") else "127.0.0.1",
            ),
            identity=Identity(base.token),
            known=lambda: KnownBoots(pipeline.state(target).boots, pipeline.state(target).proved_boots),
            on_attempt=metrics.attempt_counter(target),
            on_watchdog=base.own_address.listener(url),
        )
        self.schedule = Schedule(
            target=target,
            pinger=pinger,
            pipeline=pipeline,
            clock=clock,
            steady_time=steady_time,
            start_delay_s=settings.start_delay_ms / 1000,
        )
        self.heartbeat = HeartbeatFacts(target=target, pipeline=pipeline, schedule=self.schedule)
        self.link = HeartbeatLink(
            url=url,
            token=base.token,
            interval_s=settings.heartbeat_interval_ms / 1000,
            clock=clock,
            listener=self.heartbeat,
        )
        self.attention = SessionAttention(
            target,
            ledger=base.ledger,
            pipeline=pipeline,
            clock=clock,
            channels=dispatcher.channels,
            log_channel=LogNotifier.channel,
            several=len(settings.targets) > 1,
            url=url,
            on_notice=dispatcher.wake,
            confirm=lambda: self.pusher.soon(urgent=True),
        )
        self.heartbeat.attention.subscribe(self.attention.beat)
        report = ReportBuilder(target, self.health_url, base, self.counts, cycle, pipeline, dispatcher, self.attention)
        self.pusher = Pusher(
            url=url,
            token=base.token,
            interval_s=settings.push_interval_ms / 1000,
            clock=clock,
            build=report.build,
            on_result=metrics.pushed,
            on_answer=lambda answer: self.attention.answered(answer.attention or None),
        )
        decision_log = DecisionLog(
            target=target,
            counts=self.counts,
            stats_every=settings.stats_every,
            threshold=settings.failure_threshold,
            uptime_ms=lambda: base.boot.age_ms(clock),
            several=len(settings.targets) > 1,
        )
        decided = pipeline.decided_of[target]
        decided.subscribe(self.counts.count)
        decided.subscribe(decision_log.write)
        decided.subscribe(lambda found: self.pusher.soon(urgent=found.step.flip is not None))

    def start(self, loops: TaskGroupOfLoops, *, pings: bool) -> None:
        """Push statistics; with ``pings`` also ping and follow the heartbeat."""
        if pings:
            loops.start(f"pings.{self.target}", self.schedule.run)
            loops.start(f"heartbeat.{self.target}", self.link.run)
        loops.start(f"push.{self.target}", self.pusher.run)
        loops.start(f"attention.{self.target}", self.attention.run)

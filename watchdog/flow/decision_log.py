"""Logs every decision, in the sentences of the seed."""

from __future__ import annotations

from collections.abc import Callable

from shared import logs
from shared.contract.keepalive import hours, success_rate
from watchdog.domain.decision import Decided
from watchdog.domain.notices import keep_alive_sentence, length
from watchdog.domain.outcome import Outcome, ProbeResult, counts
from watchdog.domain.states import Incident, IncidentKind, State
from watchdog.domain.target import EventKind
from watchdog.flow.counts import Counts

log = logs.get(__name__)

LONG_GAP_MS = 60_000  # shorter ones are restarts
_BAD = frozenset({State.DOWN, State.FLAPPING})
_DOUBTFUL = frozenset({State.SUSPECT, State.DEGRADED, State.BLIND, State.PARTIAL})


class DecisionLog:
    """Logs the decisions about one target; ``several`` adds its name to each sentence."""

    def __init__(
        self,
        *,
        target: str,
        counts: Counts,
        stats_every: int,
        threshold: int,
        uptime_ms: Callable[[], int],
        several: bool = False,
    ) -> None:
        self._target, self._counts, self._stats_every, self._threshold = target, counts, stats_every, threshold
        self._uptime_ms, self._several = uptime_ms, several

    def write(self, decided: Decided) -> None:
        """Subscribe this after the counts, which it reads."""
        if isinstance(decided.fact, ProbeResult):
            self._ping(decided.fact)
        for event in decided.step.events:
            if event.kind is EventKind.RESTARTED:
                how = "as announced" if event.planned else "on its own"
                write = log.info if event.planned else log.warning
                write(f"Bot restarted {how}{self._suffix}", event_name="target.restarted", target=self._target)
            elif event.kind is EventKind.STOP_ANNOUNCED:
                log.info(
                    f"Bot announces a planned stop{self._suffix}", event_name="target.stopping", target=self._target
                )
            elif event.kind is EventKind.WATCHDOG_GAP:
                gap = length(event.at_ms - event.since_ms)
                write = log.warning if event.at_ms - event.since_ms >= LONG_GAP_MS else log.info
                write(f"The watchdog did not run for {gap}", event_name="watchdog.gap", target=self._target)
        if decided.step.flip is not None:
            flip = decided.step.flip
            write = log.error if flip.new in _BAD else log.warning if flip.new in _DOUBTFUL else log.info
            write(
                f"State {flip.old} -> {flip.new}: {flip.reason}{self._suffix}",
                event_name="target.flip",
                target=self._target,
                old=flip.old,
                new=flip.new,
                reason=flip.reason,
            )
        for incident in decided.opened:
            self._opened(incident, decided.step.state.failures)
        for incident in decided.closed:
            lasted = length((incident.closed_at_ms or incident.opened_at_ms) - incident.opened_at_ms)
            log.info(
                f"Incident over after {lasted}: {incident.kind}{self._suffix}",
                event_name="incident.closed",
                target=self._target,
                incident=incident.id,
                reason=incident.close_reason,
            )

    def _ping(self, result: ProbeResult) -> None:
        fields = {"target": self._target, "cause": result.cause, "attempts": len(result.attempts)}
        if not counts(result):
            log.warning(
                f"Keep-alive ping says nothing about the bot: {result.reason}{self._suffix}",
                event_name="ping.gap",
                outcome=result.outcome,
                **fields,
            )
            return
        number = self._counts.pings
        if result.outcome is Outcome.OK:
            took = round(result.latency_ms or 0)
            log.info(
                f"Keep-alive ping #{number} successful ({took}ms){self._suffix}",
                event_name="ping.ok",
                latency_ms=result.latency_ms,
                **fields,
            )
        else:
            log.warning(
                f"Keep-alive ping #{number} failed: {result.reason}{self._suffix}",
                event_name="ping.failed",
                reason=result.reason,
                outcome=result.outcome,
                **fields,
            )
        if number % self._stats_every == 0:
            self._statistics()

    def _opened(self, incident: Incident, failures: int) -> None:
        if incident.kind is IncidentKind.DOWN:
            # The seed's sentence: after a planned stop the run is longer than the threshold.
            sentence = keep_alive_sentence(self._threshold)
        else:
            sentence = f"ALERT: {incident.kind} ({incident.reason})"
        log.error(
            f"{sentence}{self._suffix}",
            event_name="incident.opened",
            target=self._target,
            incident=incident.id,
            kind=incident.kind,
            reason=incident.reason,
            failures=failures,
        )

    def _statistics(self) -> None:
        pings, failed, uptime_ms = self._counts.pings, self._counts.failed, self._uptime_ms()
        rate = success_rate(pings, failed)
        log.info(
            f"Keep-Alive Stats{self._suffix}\n"
            f"   Uptime: {hours(uptime_ms)} hours\n"
            f"   Total Pings: {pings}\n"
            f"   Failed Pings: {failed}\n"
            f"   Success Rate: {rate}%",
            event_name="keepalive.stats",
            target=self._target,
            uptime_ms=uptime_ms,
            pings=pings,
            failed_pings=failed,
            success_rate=rate,
        )

    @property
    def _suffix(self) -> str:
        return f" [{self._target}]" if self._several else ""

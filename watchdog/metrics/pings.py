"""Metrics of pings, states and the watchdog itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from watchdog.domain.decision import Decided
from watchdog.domain.outcome import Attempt, Outcome, ProbeResult
from watchdog.domain.states import IncidentKind, State
from watchdog.domain.target import TargetState

PREFIX = "veilleur_watchdog"
PING_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DELAY_BUCKETS = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 60.0, 300.0, 1800.0)


class PingMetrics:
    """One per program. Labels are bounded: target names, states, outcomes; never an address."""

    def __init__(self, registry: CollectorRegistry, *, version: str, targets: tuple[str, ...]) -> None:
        self.registry = registry
        self._targets = targets

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", text, labels, registry=registry)

        gauge("info", "Version of the program", "version").labels(version).set(1)
        self.last_cycle = gauge("last_cycle_timestamp_seconds", "When the last whole cycle ended")
        self._state = gauge("target_state", "1 for the state that the target is in", "target", "state")
        self._consecutive = gauge("consecutive_failures", "Failed pings in a row", "target")
        self._needs_person = gauge(
            "sessions_needing_person", "Sessions that cannot go on, or receive, without a person", "target"
        )
        self._incidents = gauge("incidents_open", "Incidents that are open", "kind")
        self._beat_age = gauge("heartbeat_age_seconds", "Time since the last beat of the heartbeat link", "target")
        self._link_up = gauge("heartbeat_up", "1 while the heartbeat link is up", "target")
        self._lag = gauge("loop_lag_seconds", "Worst lag of the event loop since the last scrape")
        self._peer_up = gauge("peer_up", "1 while another watchdog of WATCHDOG_PEERS answers", "peer")
        self._dead_loops = gauge("loops_dead", "Loops of the watchdog that crashed and have not recovered")
        self._crashes = Counter(
            f"{PREFIX}_loop_crashes_total", "Crashes of the watchdog's own loops", ["loop"], registry=registry
        )
        self._in_database = gauge("ledger_ok", "1 while the ledger keeps what is decided")
        self._pings = Counter(f"{PREFIX}_pings_total", "Pings by outcome", ["target", "outcome"], registry=registry)
        self._attempts = Counter(
            f"{PREFIX}_ping_attempts_total", "Attempts of pings by outcome", ["target", "outcome"], registry=registry
        )
        self._flips = Counter(
            f"{PREFIX}_flips_total", "Changes of state by the new one", ["target", "state"], registry=registry
        )
        self._restarts = Counter(f"{PREFIX}_restarts_total", "Restarts of the bot seen", ["target"], registry=registry)
        self._seconds = Histogram(
            f"{PREFIX}_ping_seconds", "Time of answered pings", ["target"], buckets=PING_BUCKETS, registry=registry
        )
        self._delay = Histogram(
            f"{PREFIX}_detection_delay_seconds",
            "From the last sign of life to the decision DOWN",
            buckets=DELAY_BUCKETS,
            registry=registry,
        )
        self._pushes = Counter(f"{PREFIX}_pushes_total", "Statistics pushed to the bot", ["result"], registry=registry)
        for result in ("ok", "failed"):
            self._pushes.labels(result)
        # Looked up once: each ping increments them.
        self._pings_of = {(name, outcome): self._pings.labels(name, outcome) for name in targets for outcome in Outcome}
        self._seconds_of = {name: self._seconds.labels(name) for name in targets}
        for target in targets:
            self._restarts.labels(target)
            for outcome in Outcome:
                self._attempts.labels(target, outcome)

    def attempt_counter(self, target: str) -> Callable[[Attempt], None]:
        """A function that counts one attempt of ``target``, decided or not."""
        by_outcome = {outcome: self._attempts.labels(target, outcome) for outcome in Outcome}
        return lambda attempt: by_outcome[attempt.outcome].inc()

    def loop_crashed(self, loop: str) -> None:
        self._crashes.labels(loop).inc()

    def pushed(self, result: str) -> None:
        """``result`` is ok or failed."""
        self._pushes.labels(result).inc()

    def count(self, decided: Decided) -> None:
        target = decided.step.state.target
        if isinstance(decided.fact, ProbeResult):
            self._pings_of[target, decided.fact.outcome].inc()
            if decided.fact.outcome is Outcome.OK and decided.fact.latency_ms is not None:
                self._seconds_of[target].observe(decided.fact.latency_ms / 1000)
        if decided.step.flip is not None:
            self._flips.labels(target, decided.step.flip.new).inc()
        for event in decided.step.events:
            if event.kind == "restarted":
                self._restarts.labels(target).inc()
        for incident in decided.opened:
            if incident.kind is IncidentKind.DOWN:
                self._delay.observe(max(0, incident.decided_at_ms - incident.opened_at_ms) / 1000)

    def update_gauges(
        self,
        *,
        states: Mapping[str, TargetState],
        beat_ages_s: Mapping[str, float | None],
        links_up: Mapping[str, bool],
        lag_s: float,
        ledger_ok: bool,
        dead_loops: int,
        peers_up: Mapping[str, bool],
    ) -> None:
        """Set the gauges before a scrape."""
        open_now = dict.fromkeys(IncidentKind, 0)
        for target, state in states.items():
            for name in State:
                self._state.labels(target, name).set(int(state.state is name))
            self._consecutive.labels(target).set(state.failures)
            self._needs_person.labels(target).set(state.needs_person)
            for ref in state.incidents:
                open_now[ref.kind] += 1
        for kind, count in open_now.items():
            self._incidents.labels(kind).set(count)
        for target, age_s in beat_ages_s.items():
            if age_s is not None:
                self._beat_age.labels(target).set(age_s)
            self._link_up.labels(target).set(int(links_up.get(target, False)))
        self._lag.set(lag_s)
        self._in_database.set(int(ledger_ok))
        self._dead_loops.set(dead_loops)
        # One that turned out to be this watchdog itself is no peer any more.
        self._peer_up.clear()
        for peer, up in peers_up.items():
            self._peer_up.labels(peer).set(int(up))

"""Input of repair decisions: the most severe incident, its excuses, the time of health."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from watchdog.domain.remediation import RepairFacts
from watchdog.domain.states import Incident, IncidentKind, State
from watchdog.domain.target import TargetState
from watchdog.flow.heartbeat_facts import HeartbeatFacts
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import incidents
from watchdog.ledger.sqlite import Ledger

_BY_SEVERITY = (
    IncidentKind.DOWN,
    IncidentKind.DEGRADED,
    IncidentKind.FLAPPING,
    IncidentKind.REFUSED,
    IncidentKind.UNANSWERED,
    IncidentKind.PARTIAL,
    IncidentKind.BLIND,
)


class RepairContext:
    """Keeps since when (steady ms) each incident is known and each target healthy."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        pipeline: Pipeline,
        steady_time: SteadyTime,
        heartbeats: Mapping[str, HeartbeatFacts],
    ) -> None:
        self._ledger, self._pipeline, self._steady_time = ledger, pipeline, steady_time
        self._heartbeats = heartbeats
        self._known_since: dict[str, tuple[str, int]] = {}
        self._healthy_since: dict[str, int] = {}

    async def facts(self, target: str) -> RepairFacts:
        now, state = self._steady_time.now(), self._pipeline.state(target)
        incident = await self._incident(state)
        if incident is None:
            self._known_since.pop(target, None)
            if state.state is State.UP:
                return RepairFacts(healthy_since_ms=self._healthy_since.setdefault(target, now.steady_ms))
            self._healthy_since.pop(target, None)
            return RepairFacts()
        self._healthy_since.pop(target, None)
        if self._known_since.get(target, ("", 0))[0] != incident.id:
            self._known_since[target] = (incident.id, now.steady_ms)
        facts = RepairFacts(
            incident=incident,
            known_since_ms=self._known_since[target][1],
            answers=state.reach is not State.DOWN or state.unwell or state.last_reason.startswith("http_"),
            blind=state.blind or state.blind_run > 0,
            alive=state.alive(now.steady_ms),
            refused=state.refused or state.refused_run > 0,
            paused=self._pipeline.policy.paused(target, now) is not None,
            planned=state.planned(now.steady_ms),
            only_persons=state.not_ready == 0,
        )
        # The last beat counts only while the link is up.
        beat = self._heartbeats[target].last
        if beat is None:
            return facts
        return replace(
            facts,
            starting=beat.starting and now.steady_ms < state.starting_until_steady,
            upstream_outage=beat.upstream_outage,
        )

    async def _incident(self, state: TargetState) -> Incident | None:
        found = next((name for kind in _BY_SEVERITY if (name := state.incident_of(kind)) is not None), None)
        return None if found is None else await self._ledger.read(lambda c: incidents.find_incident(c, found))

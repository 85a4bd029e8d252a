"""Shows a target to the repair loop: the gravest incident, what excuses it, and how long it has been healthy."""

from __future__ import annotations

from collections.abc import Mapping

from watchdog.domain.remediation import Scene
from watchdog.domain.states import Incident, IncidentKind, State
from watchdog.domain.target import TargetState
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.remediator import View
from watchdog.flow.steady_time import SteadyTime
from watchdog.flow.watch import Watch
from watchdog.ledger import incidents
from watchdog.ledger.sqlite import Ledger

_GRAVITY = (
    IncidentKind.DOWN,
    IncidentKind.DEGRADED,
    IncidentKind.FLAPPING,
    IncidentKind.REFUSED,
    IncidentKind.BLIND,
)


class RepairContext:
    """``look(target)``. Remembers since when each incident is known and each target healthy, in steady time."""

    def __init__(
        self, *, ledger: Ledger, pipeline: Pipeline, moments: SteadyTime, watches: Mapping[str, Watch]
    ) -> None:
        self._ledger, self._pipeline, self._moments, self._watches = ledger, pipeline, moments, watches
        self._known_since: dict[str, tuple[str, int]] = {}
        self._healthy_since: dict[str, int] = {}

    async def look(self, target: str) -> View:
        now, state = self._moments.now(), self._pipeline.state(target)
        incident = await self._incident(state)
        if state.state is State.UP and incident is None:
            healthy_since = self._healthy_since.setdefault(target, now.steady_ms)
        else:
            self._healthy_since.pop(target, None)
            healthy_since = None
        if incident is None:
            self._known_since.pop(target, None)
            return View(Scene(), healthy_since)
        known_id, known_since = self._known_since.get(target, ("", 0))
        if known_id != incident.id:
            known_since = now.steady_ms
            self._known_since[target] = (incident.id, known_since)
        watch = self._watches[target]
        # What the bot said last counts only while it still speaks.
        beat = watch.facts.last if watch.link.up else None
        scene = Scene(
            incident=incident,
            decided_at_ms=known_since,
            answers=state.reach is not State.DOWN or state.last_reason.startswith("http_"),
            blind=state.blind or state.blind_run > 0,
            refused=state.refused or state.refused_run > 0,
            paused=self._pipeline.policy.paused(target, now) is not None,
            planned=state.planned(now.steady_ms) or (beat is not None and beat.draining),
            starting=beat is not None and beat.starting,
            only_persons=state.not_ready == 0,
            upstream_outage=beat is not None and beat.upstream_outage,
        )
        return View(scene, healthy_since)

    async def _incident(self, state: TargetState) -> Incident | None:
        found = next((name for kind in _GRAVITY if (name := state.incident_of(kind)) is not None), None)
        if found is None:
            return None
        return await self._ledger.read(lambda c: incidents.find_incident(c, found))

"""Repairs nothing: what a target has when REMEDIATION is not set, and the shape that every remediator has."""

from __future__ import annotations

from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident


class NoRemediator:
    """No rung of the ladder bears its name, so it is never asked."""

    name = "none"
    actions: tuple[str, ...] = ()

    async def run(self, action: str, incident: Incident) -> Repaired:
        return Repaired("skipped", "nothing is configured")

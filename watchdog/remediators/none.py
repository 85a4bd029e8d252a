"""Repairs nothing: what a target has when REMEDIATION is not set."""

from __future__ import annotations

from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident


class NoRemediator:
    name = "none"
    actions: tuple[str, ...] = ()

    async def run(self, action: str, incident: Incident) -> Repaired:
        return Repaired("skipped", "nothing is configured")

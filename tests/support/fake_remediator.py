"""A remediator that only writes down what it was asked to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from shared.clock import Clock
from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident


@dataclass
class FakeRemediator:
    """``takes_s`` is how long each action lasts on the clock; ``hang`` never ends."""

    clock: Clock
    name: str = "docker"
    result: str = "done"
    takes_s: float = 0.0
    hang: bool = False
    broken: bool = False
    runs: list[tuple[float, str]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def run(self, action: str, incident: Incident) -> Repaired:
        self.runs.append((self.clock.monotonic(), action))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.broken:
                raise RuntimeError("a defect")
            if self.hang:
                await asyncio.Event().wait()
            await self.clock.sleep(self.takes_s)
        finally:
            self.in_flight -= 1
        return Repaired(self.result)

"""Identity of one run of a program: boot id, start time, version."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from shared.clock import Clock
from shared.version import installed_version


@dataclass(frozen=True, slots=True)
class Boot:
    """``boot_id`` is new at every start; ``started`` is monotonic s, ``started_at`` wall time."""

    started: float
    started_at: datetime
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))
    version: str = field(default_factory=installed_version)

    @classmethod
    def of(cls, clock: Clock) -> Boot:
        """The run that starts now."""
        return cls(clock.monotonic(), clock.now())

    def age_ms(self, clock: Clock) -> int:
        return int((clock.monotonic() - self.started) * 1000)

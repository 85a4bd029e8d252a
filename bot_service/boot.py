"""Who this run of the program is."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from shared.clock import Clock
from shared.version import installed_version


@dataclass(frozen=True, slots=True)
class Boot:
    """``boot_id`` is new at every start; ``started`` is monotonic seconds."""

    started: float
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))
    version: str = field(default_factory=installed_version)

    def age_ms(self, clock: Clock) -> int:
        return int((clock.monotonic() - self.started) * 1000)

"""The limits of the pool: workers, silence, resources, restarts."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path

from bot_service.engines.registry import ENGINES, EngineRow
from bot_service.engines.wire.worker_options import WorkerOptions, WorkerSettings


@dataclass(frozen=True, slots=True)
class ClientChoice:
    """What a new worker announces to WhatsApp; ``library`` None is the built-in library."""

    build: int
    library: Path | None = None


DEFAULT_COMMAND = (sys.executable, "-m", "bot_service.engines.worker.main")


class PoolPolicy(WorkerSettings, frozen=True, kw_only=True):
    """``command`` starts a worker; its options are appended as one argument. Times in seconds."""

    sessions_per_worker: int = 50
    command: tuple[str, ...] = DEFAULT_COMMAND
    environment: dict[str, str] | None = None
    """The environment of the workers; None is that of this process."""
    max_rss_mb: int = 1024
    max_descriptors: int = 4096
    wedge_after_s: float = 20.0
    look_every_s: float = 1.0
    spawn_timeout_s: float = 45.0
    spawns_at_once: int = 2
    restart_base_s: float = 0.5
    restart_cap_s: float = 30.0
    healthy_after_s: float = 60.0
    split_after_crashes: int = 3
    recycle_min_age_s: float = 60.0
    recycle_asked_every_s: float = 3600.0
    """On request, the worker of a session is replaced no more often than this."""
    pairs_apart: bool | None = None
    spare_every_s: float = 10.0
    """With replicas one worker without sessions is kept; one that does not stay is replaced no more often than this."""
    adopts: bool = True
    """Takes over what an earlier process left running; with replicas those sessions may run elsewhere by now."""

    @property
    def row(self) -> EngineRow:
        return ENGINES[self.engine]

    @property
    def pairing_apart(self) -> bool:
        return self.row.pairs_apart if self.pairs_apart is None else self.pairs_apart

    def restart_delay_s(self, crashes: int, chance: random.Random) -> float:
        """Seconds before the ``crashes``-th replacement in a row: full jitter, the first short."""
        ceiling = min(self.restart_cap_s, self.restart_base_s * 2.0 ** min(crashes - 1, 20))
        return chance.uniform(0.0 if crashes <= 1 else ceiling / 4, ceiling)

    def worker(self, worker_id: str, *, pairing: bool, client: ClientChoice | None = None) -> WorkerOptions:
        """The options of one worker."""
        shared = {name: getattr(self, name) for name in WorkerSettings.__struct_fields__}
        client = client or ClientChoice(0)
        return WorkerOptions(
            **shared, id=worker_id, pairing=pairing, client_build=client.build, client_library=client.library
        )

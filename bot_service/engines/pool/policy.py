"""How many workers, how long they may be silent, when they are replaced: the numbers of the pool, in one place."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bot_service.engines.registry import ENGINES, EngineRow


@dataclass(frozen=True, slots=True)
class ClientChoice:
    """What a new worker announces to WhatsApp; ``library`` None is the built-in library."""

    build: int
    library: Path | None = None


DEFAULT_COMMAND = (sys.executable, "-m", "bot_service.engines.worker.main")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """``command`` is what starts a worker; arguments are appended. ``options`` go to the engine. Times in seconds."""

    engine: str
    data_dir: Path
    sessions_per_worker: int = 50
    command: tuple[str, ...] = DEFAULT_COMMAND
    options: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] | None = None
    """What workers see of the environment; this process's own when None."""
    orphan_grace_s: float = 60.0
    max_rss_mb: int = 1024
    max_descriptors: int = 4096
    pulse_s: float = 5.0
    wedge_after_s: float = 20.0
    look_every_s: float = 1.0
    spawn_timeout_s: float = 45.0
    spawns_at_once: int = 2
    stop_timeout_s: float = 6.0
    restart_base_s: float = 0.5
    restart_cap_s: float = 30.0
    healthy_after_s: float = 60.0
    split_after_crashes: int = 3
    recycle_min_age_s: float = 60.0
    recycle_asked_every_s: float = 3600.0
    """No session is moved more often than this because somebody asks to replace its worker."""
    link_limit_bytes: int = 8 * 1024 * 1024
    journal_rotate_bytes: int = 64 * 1024 * 1024
    pairs_apart: bool | None = None
    log_format: str = "json"
    log_level: str = "info"

    @property
    def row(self) -> EngineRow:
        return ENGINES[self.engine]

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def journal_dir(self) -> Path:
        return self.data_dir / "journal"

    @property
    def pairing_apart(self) -> bool:
        """Whether a pairing gets a short-lived worker of its own."""
        return self.row.pairs_apart if self.pairs_apart is None else self.pairs_apart

    def restart_delay_s(self, crashes: int, chance: random.Random) -> float:
        """Seconds before the ``crashes``-th replacement in a row; the first comes nearly at once. Full jitter."""
        ceiling = min(self.restart_cap_s, self.restart_base_s * 2.0 ** min(crashes - 1, 20))
        return chance.uniform(0.0 if crashes <= 1 else ceiling / 4, ceiling)

    def arguments(self, worker_id: str, *, pairing: bool, client: ClientChoice | None = None) -> list[str]:
        """The worker's whole command line."""
        line = [
            *self.command,
            *("--engine", self.engine, "--id", worker_id),
            *("--run-dir", str(self.run_dir), "--data-dir", str(self.data_dir)),
            *("--orphan-grace-s", str(self.orphan_grace_s), "--stop-timeout-s", str(self.stop_timeout_s)),
            *("--pulse-s", str(self.pulse_s), "--link-limit-bytes", str(self.link_limit_bytes)),
            *("--journal-rotate-bytes", str(self.journal_rotate_bytes)),
            *("--log-format", self.log_format, "--log-level", self.log_level),
        ]
        for name, value in sorted(self.options.items()):
            line += ["--option", f"{name}={value}"]
        if client is not None:
            line += ["--client-build", str(client.build)]
            line += ["--client-library", str(client.library)] if client.library is not None else []
        return [*line, "--pairing"] if pairing else line

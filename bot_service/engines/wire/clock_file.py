"""The time of the API process for its workers, in ``DATA_DIR/run/clock.json``."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from shared.service_clock import SavedClock


def write(run_dir: Path, saved: SavedClock) -> None:
    """Written whole or not at all. Raises ``OSError``."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = run_dir / "clock.part"
    part.write_bytes(msgspec.json.encode(saved))
    part.chmod(0o600)
    os.replace(part, run_dir / "clock.json")


def read(run_dir: Path, machine: str) -> SavedClock | None:
    """None when there is none of this run of the machine."""
    try:
        saved = msgspec.json.decode((run_dir / "clock.json").read_bytes(), type=SavedClock)
    except (OSError, msgspec.DecodeError):
        return None
    return saved if machine and saved.machine == machine else None

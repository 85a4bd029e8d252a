"""The files by which an API process finds running workers: ``DATA_DIR/run/worker-<id>.json``."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class WorkerRecord(msgspec.Struct, frozen=True, rename="camel"):
    """``pid`` and ``start_ticks`` together identify one process."""

    id: str
    pid: int
    start_ticks: int
    engine: str
    journal_file: str
    protocol: int
    pairing: bool = False


def socket_path(run_dir: Path, worker_id: str) -> Path:
    return run_dir / f"worker-{worker_id}.sock"


def record_path(run_dir: Path, worker_id: str) -> Path:
    return run_dir / f"worker-{worker_id}.json"


def stderr_path(run_dir: Path, worker_id: str) -> Path:
    """A worker's standard error, with the output of a native crash."""
    return run_dir / f"worker-{worker_id}.stderr"


def write(run_dir: Path, record: WorkerRecord) -> None:
    """Writes the record whole or not at all."""
    path = record_path(run_dir, record.id)
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(record))
    part.chmod(0o600)
    os.replace(part, path)


def read_all(run_dir: Path) -> list[WorkerRecord]:
    """Every readable record; removes others."""
    records = []
    for path in sorted(run_dir.glob("worker-*.json")):
        try:
            records.append(msgspec.json.decode(path.read_bytes(), type=WorkerRecord))
        except FileNotFoundError:
            continue
        except (OSError, msgspec.MsgspecError):
            path.unlink(missing_ok=True)
    return records


def remove(run_dir: Path, worker_id: str) -> None:
    """Removes the files of a worker."""
    for path in (record_path, socket_path, stderr_path):
        path(run_dir, worker_id).unlink(missing_ok=True)

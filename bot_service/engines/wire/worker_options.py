"""The options of a worker process, handed over as one JSON document on its command line."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bot_service.engines.wire.device_store import DeviceStoreAddress


class SharedFilesAddress(msgspec.Struct, frozen=True):
    """``server`` is the PostgreSQL, without a password, that has the files of messages of all replicas."""

    server: str
    limit_bytes: int


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers of a pool share. ``options`` are the engine's own; times in seconds."""

    engine: str
    data_dir: Path
    options: dict[str, str] = {}
    device_store: DeviceStoreAddress | None = None
    """None: devices are files in ``data_dir``."""
    shared_files: SharedFilesAddress | None = None
    """None: files of messages are in ``data_dir``."""
    orphan_grace_s: float = 60.0
    stop_timeout_s: float = 6.0
    pulse_s: float = 5.0
    link_limit_bytes: int = 8 * 1024 * 1024
    journal_rotate_bytes: int = 64 * 1024 * 1024
    log_format: str = "json"
    log_level: str = "info"

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def journal_dir(self) -> Path:
        return self.data_dir / "journal"


class WorkerOptions(WorkerSettings, frozen=True, kw_only=True):
    """One worker: ``pairing`` ones are short-lived, for a single session."""

    id: str
    pairing: bool = False
    client_build: int = 0
    """The client build to announce; 0 when the engine announces none."""
    client_library: Path | None = None
    """The copy of the native library to load; None is the built-in one."""


def encode(options: WorkerOptions) -> str:
    return msgspec.json.encode(options, enc_hook=str).decode()


def decode(text: str) -> WorkerOptions:
    """Raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(text, type=WorkerOptions, dec_hook=lambda kind, value: kind(value))

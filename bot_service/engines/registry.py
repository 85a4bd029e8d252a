"""Maps the name of an engine to its code: one row each, imported only when used and only in a worker process."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote

from bot_service.engines.port import ClientLibrary, EngineFactory


@dataclass(frozen=True, slots=True)
class EngineRow:
    """What the API process must know of an engine without importing it.

    ``files`` are patterns below DATA_DIR of what the engine keeps for one session; ``{session}`` is its safe name.
    """

    module: str
    factory: str
    pairs_apart: bool
    """Pairing runs in a short-lived process of its own, which hands the session over by its JID."""
    start_concurrency: int
    """Sessions of one worker that may be starting at the same time."""
    files: tuple[str, ...]
    library: str = ""
    """Module of the engine's :class:`ClientLibrary`; empty for an engine that announces no client version."""
    package: str = ""
    """Module whose ``prepare(copy)`` makes a worker load that copy of the native library."""


ENGINES: dict[str, EngineRow] = {
    "neonize": EngineRow(
        module="bot_service.engines.neonize.engine",
        factory="NeonizeEngine",
        pairs_apart=True,
        start_concurrency=4,
        files=("devices/{session}.db*",),
        library="bot_service.engines.neonize.library_copy",
        package="bot_service.engines.neonize.package",
    ),
    "simulator": EngineRow(
        module="bot_service.engines.simulator.engine",
        factory="SimulatorEngine",
        pairs_apart=False,
        start_concurrency=64,
        files=("simulator/{session}.phone", "simulator/{session}.queue", "simulator/{session}.sent"),
    ),
}


def names() -> tuple[str, ...]:
    """Every engine there is, for settings and help texts."""
    return tuple(ENGINES)


def load(name: str) -> EngineFactory:
    """Import the engine. Only a worker process may call this. Raises ``KeyError`` or ``ImportError``."""
    row = ENGINES[name]
    return cast(EngineFactory, getattr(importlib.import_module(row.module), row.factory))


def use_copy(name: str, copy: Path) -> bool:
    """Before :func:`load`, in a worker: load ``copy`` of the native library. False when the built-in one must be used."""
    return bool(importlib.import_module(ENGINES[name].package).prepare(copy))


def client_library(name: str) -> ClientLibrary | None:
    """What makes copies of the engine's native library; None for an engine that announces no client version."""
    module = ENGINES[name].library
    return cast(ClientLibrary, importlib.import_module(module)) if module else None


def safe_name(session: str) -> str:
    """``session`` as part of a file name; different sessions never share one."""
    return quote(session, safe="").replace(".", "%2E")


def files_of(name: str, data_dir: Path, session: str) -> Iterator[Path]:
    """The files that engine ``name`` keeps for ``session`` now."""
    for pattern in ENGINES[name].files:
        yield from data_dir.glob(pattern.format(session=safe_name(session)))

"""Maps the name of an engine to its code, which is imported only in a worker process."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote

from bot_service.engines.port import ClientLibrary, Engine


@dataclass(frozen=True, slots=True)
class EngineRow:
    """What the API process must know of an engine without importing it.

    ``files`` are patterns below DATA_DIR of the files of one session; ``{session}`` is its safe
    name.
    """

    module: str
    factory: str
    pairs_apart: bool
    """Pairing runs in a short-lived worker of its own."""
    start_concurrency: int
    """Sessions of one worker that may be starting at the same time."""
    files: tuple[str, ...]
    library: str = ""
    """Module of its :class:`ClientLibrary`; empty when it announces no client version."""
    package: str = ""
    """Module with ``prepare(copy)``, which makes a worker load that copy of the library."""


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


def load(name: str) -> Callable[..., Engine]:
    """Imports the class of the engine; for worker processes only."""
    row = ENGINES[name]
    return cast(Callable[..., Engine], getattr(importlib.import_module(row.module), row.factory))


def use_copy(name: str, copy: Path) -> bool:
    """Loads ``copy`` of the native library before :func:`load`; False when it cannot be loaded."""
    return bool(importlib.import_module(ENGINES[name].package).prepare(copy))


def client_library(name: str) -> ClientLibrary | None:
    """Makes copies of the engine's library; None when it announces no client version."""
    module = ENGINES[name].library
    return cast(ClientLibrary, importlib.import_module(module)) if module else None


def safe_name(session: str) -> str:
    """``session`` as part of a file name; different sessions never share one."""
    return quote(session, safe="").replace(".", "%2E")


def names_with_files(name: str, data_dir: Path) -> set[str]:
    """The :func:`safe_name` of every session for which engine ``name`` keeps files now."""
    found: set[str] = set()
    for pattern in ENGINES[name].files:
        before, _, after = pattern.rstrip("*").partition("{session}")
        folder = data_dir / before
        if folder.is_dir():
            found.update(file.removesuffix(after) for file in os.listdir(folder) if file.endswith(after))
    return found


def files_of(name: str, data_dir: Path, session: str) -> Iterator[Path]:
    """The files that engine ``name`` keeps for ``session`` now."""
    for pattern in ENGINES[name].files:
        yield from data_dir.glob(pattern.format(session=safe_name(session)))

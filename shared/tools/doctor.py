"""What a check-up finds: one line a check, each with what to do. Parts live in the programs and are found by name.

A part is a module with ``checks(context) -> Iterable[Check]``; see :data:`PARTS`. A part whose program is not installed
is left out, because each image holds one program only.
"""

from __future__ import annotations

import importlib
import importlib.util
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shared.settings import SettingsError, load

PARTS = ("shared.tools.cli.examine", "bot_service.doctor", "watchdog.doctor")


class CheckStatus(StrEnum):
    OK = "ok"
    INFO = "info"  # nothing is wrong; worth knowing
    WARNING = "warning"  # works, but not as one should want
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """``group`` orders the page, ``found`` is what is, ``todo`` what to do about it (empty when all is well)."""

    group: str
    name: str
    verdict: CheckStatus
    found: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """``environ`` is what both programs would read; ``fetch(url)`` gives (status, JSON, Date header) or raises OSError."""

    environ: Mapping[str, str]
    bot_url: str
    watchdog_url: str
    fetch: Callable[[str], tuple[int, Any, str | None]]


def examine(context: Context) -> Iterator[Check]:
    """Every check of every installed part. A part that fails itself is a failed check, never an exception."""
    for name in PARTS:
        if importlib.util.find_spec(name.partition(".")[0]) is None or importlib.util.find_spec(name) is None:
            continue
        try:
            parts: Iterable[Check] = importlib.import_module(name).checks(context)
            yield from parts
        except Exception as error:
            todo = "this is an error of ours: please report it"
            yield Check(name, "check-up", CheckStatus.FAILED, f"{type(error).__name__}: {error}", todo)


def settings_checks(group: str, cls: type[Any], environ: Mapping[str, str]) -> tuple[list[Check], Any]:
    """One check per variable that cannot be used, and the settings when all can."""
    try:
        loaded = load(cls, environ)
    except SettingsError as error:
        return [
            Check(
                group,
                fault.name,
                CheckStatus.FAILED,
                str(fault).removeprefix(f"{fault.name}:").strip(),
                f"correct {fault.name} and start again",
            )
            for fault in error.faults
        ], None
    return [Check(group, "settings", CheckStatus.OK, "every variable can be used")], loaded


def sqlite_check(group: str, path: Path) -> Check:
    """Whether the database at ``path`` is whole; it is opened read-only and never made."""
    if not path.exists():
        return Check(group, "database", CheckStatus.INFO, f"{path} is not there yet; it is made at the first start")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2)) as database:
            result = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        todo = "stop the program, keep the file, and restore the last backup (docs/operations.md)"
        return Check(group, "database", CheckStatus.FAILED, f"{path} cannot be read: {error}", todo)
    if result != "ok":
        todo = "stop the program, keep the file, and restore the last backup (docs/operations.md)"
        return Check(group, "database", CheckStatus.FAILED, f"{path} is damaged: {result}", todo)
    return Check(group, "database", CheckStatus.OK, f"{path} is whole")

"""The checks of ``veilleur doctor``: what a check reports, and those that every program makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shared.settings import SettingsError, load


class CheckStatus(StrEnum):
    OK = "ok"
    INFO = "info"  # nothing is wrong
    WARNING = "warning"  # works, but should be changed
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """``group`` is the heading, ``found`` the finding, ``todo`` what to do about it."""

    group: str
    name: str
    verdict: CheckStatus
    found: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """``environ`` holds the variables of both programs.

    ``fetch(url)`` gives (status, JSON, Date header) or raises ``OSError``. ``proves(url, program)``
    is whether that program proves at ``url`` to hold WATCHDOG_TOKEN; None while no token is known.
    """

    environ: Mapping[str, str]
    bot_url: str
    watchdog_url: str
    fetch: Callable[[str], tuple[int, Any, str | None]]
    proves: Callable[[str, str], bool | None] = lambda _url, _program: None


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
        found = f"{path} cannot be read: {error}"
    else:
        if result == "ok":
            return Check(group, "database", CheckStatus.OK, f"{path} is whole")
        found = f"{path} is damaged: {result}"
    todo = "stop the program, keep the file, and restore the last backup (docs/operations.md)"
    return Check(group, "database", CheckStatus.FAILED, found, todo)

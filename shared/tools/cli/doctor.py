"""``veilleur doctor``: checks everything that a start needs; exit code 1 when a check fails."""

from __future__ import annotations

import http.client
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import typer

from shared.doctor import Check, CheckStatus, Context
from shared.settings import SettingsError, load
from shared.tools.cli import settings, show
from shared.tools.cli.client import Client, CliError
from shared.tools.cli.settings import CliSettings

# Modules with ``checks(context)``. An image holds one program only; the other is left out.
PARTS = ("shared.tools.cli.machine_checks", "bot_service.doctor", "watchdog.doctor")
_MARKS = {
    CheckStatus.OK: "[green]✓[/]",
    CheckStatus.INFO: "[blue]·[/]",
    CheckStatus.WARNING: "[yellow]![/]",
    CheckStatus.FAILED: "[red]✗[/]",
}


def command(json: show.Json = False) -> None:
    """Check settings, folders, clock, engine, database and both programs: each with what to do."""
    found = list(run_checks(_context()))
    failed = sum(check.verdict is CheckStatus.FAILED for check in found)
    if json:
        show.as_json({"ok": failed == 0, "checks": [asdict(check) for check in found]})
    else:
        _print(found, failed)
    if failed:
        raise typer.Exit(1)


def _context() -> Context:
    environ = settings.environ()
    try:
        found = load(CliSettings, environ)
    except SettingsError as error:
        # The parts of the programs name each fault; here only the addresses are needed.
        wrong = {fault.name for fault in error.faults}
        found = load(CliSettings, {name: value for name, value in environ.items() if name not in wrong})
    token = found.watchdog_key()

    def proves(url: str, program: str) -> bool | None:
        return None if token is None else Client(url, token, name=program, timeout_s=5.0).proves(program)

    return Context(environ=environ, bot_url=found.bot, watchdog_url=found.watchdog, fetch=_fetch, proves=proves)


def _fetch(url: str) -> tuple[int, Any, str | None]:
    parts = urlsplit(url)
    client = Client(f"{parts.scheme}://{parts.netloc}", None, name=parts.netloc, timeout_s=5.0)
    try:
        answer = client.request("GET", parts.path or "/")
    except CliError as error:
        raise OSError(error.detail.rpartition(": ")[2]) from error
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    return answer.status, answer.value, answer.date


def run_checks(context: Context) -> Iterator[Check]:
    """Every check of every installed part; an exception becomes a failed check."""
    for name in PARTS:
        if importlib.util.find_spec(name.partition(".")[0]) is None or importlib.util.find_spec(name) is None:
            continue
        try:
            yield from importlib.import_module(name).checks(context)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
            yield Check(name, "check-up", CheckStatus.FAILED, found, "this is a bug of Veilleur: please report it")


def _print(found: list[Check], failed: int) -> None:

    out = show.console()
    group = ""
    for check in found:
        if check.group != group:
            group = check.group
            out.print(f"\n[bold]{show.plain(group)}[/]")
        out.print(f"  {_MARKS[check.verdict]} {show.plain(check.name)}: {show.plain(check.found)}")
        if check.todo:
            out.print(f"      → {show.plain(check.todo)}")
    warnings = sum(check.verdict is CheckStatus.WARNING for check in found)
    out.print(f"\n{len(found)} checks, {failed} failed, {warnings} to look at.")

"""``veilleur doctor``: looks at everything a start depends on and says what to do; exit code 1 when something fails."""

from __future__ import annotations

import http.client
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from shared.settings import SettingsError, environment, load
from shared.tools.cli import show
from shared.tools.cli.client import Client, CliError
from shared.tools.cli.settings import CliSettings
from shared.tools.doctor import Check, CheckStatus, Context, examine
from shared.tools.dotenv import read_dotenv

_MARKS = {
    CheckStatus.OK: "[green]✓[/]",
    CheckStatus.INFO: "[blue]·[/]",
    CheckStatus.WARNING: "[yellow]![/]",
    CheckStatus.FAILED: "[red]✗[/]",
}


def command(json: show.Json = False) -> None:
    """Check settings, folders, clock, engine, database and both programs: each with what to do."""
    found = list(examine(_context()))
    failed = sum(check.verdict is CheckStatus.FAILED for check in found)
    if json:
        show.as_json({"ok": failed == 0, "checks": [asdict(check) for check in found]})
    else:
        _print(found, failed)
    if failed:
        raise typer.Exit(1)


def _context() -> Context:
    try:
        from_file = read_dotenv(Path(".env"))
    except (ValueError, OSError):
        from_file = {}
    environ = {**from_file, **environment()}
    try:
        settings = load(CliSettings, environ)
    except SettingsError as error:
        # The programs' own parts name each fault; here only the addresses are needed.
        wrong = {fault.name for fault in error.faults}
        settings = load(CliSettings, {name: value for name, value in environ.items() if name not in wrong})
    return Context(environ=environ, bot_url=settings.bot, watchdog_url=settings.watchdog, fetch=_fetch)


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


def _print(found: list[Check], failed: int) -> None:
    from rich.markup import escape

    out = show.console()
    group = ""
    for check in found:
        if check.group != group:
            group = check.group
            out.print(f"\n[bold]{escape(group)}[/]")
        out.print(f"  {_MARKS[check.verdict]} {escape(check.name)}: {escape(check.found)}")
        if check.todo:
            out.print(f"      → {escape(check.todo)}")
    warnings = sum(check.verdict is CheckStatus.WARNING for check in found)
    out.print(f"\n{len(found)} checks, {failed} failed, {warnings} to look at.")

"""``veilleur logs``: the newest lines of the log of both programs, and those to come.

The programs keep them in memory, so that the command works the same in a container, under systemd, on a platform and in
a terminal.
"""

from __future__ import annotations

import json as encoder
import queue
import sys
import threading
import time
from typing import Annotated, Any, Literal

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.arguments import moment
from shared.tools.cli.client import Client, CliError
from shared.visible import shown_json

PATH, STREAM_PATH = "/api/logs", "/api/logs/stream"
AGAIN_S = 1.0
_COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}
# Fields that have a place of their own in a line.
_PLACED = frozenset({"message", "level", "time", "event", "program", "source", "exception", "stack"})

Level = Literal["debug", "info", "warning", "error", "critical"]


def logs(
    program: Annotated[Literal["bot", "watchdog"] | None, typer.Option(help="Only that of bot or watchdog.")] = None,
    session: Annotated[str | None, typer.Option(help="Only lines about this session.")] = None,
    level: Annotated[Level, typer.Option(help="Lines of this level and those above it.")] = "debug",
    event: Annotated[str, typer.Option(help="Only lines of this name, or pattern such as 'session.*'.")] = "*",
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only lines since then: a time, or how long ago, as 2h.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, max=1000, help="How many of the newest lines.")] = 100,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines, until Ctrl-C.")] = False,
    json: show.Json = False,
) -> None:
    """Show the newest lines of the log of both programs, since their start; secrets and numbers are masked."""
    with show.errors(json):
        query = {"session": session, "level": level, "event": event, "since": moment("--since", since)}
        clients = {"bot": settings.bot, "watchdog": settings.watchdog}
        chosen = {name: client() for name, client in clients.items() if program in (None, name)}
        if following:
            _follow(chosen, query, limit, json_wanted=json)
        elif limit:
            lines = _newest(chosen, {**query, "limit": limit})[-limit:]
            if json:
                show.as_json({"lines": lines})
            elif lines:
                for line in lines:
                    _print(line, json_wanted=False)
            else:
                show.console().print("No such line since the programs started.")


def _newest(clients: dict[str, Client], query: dict[str, Any]) -> list[dict[str, Any]]:
    """Of all programs that answer. Raises :class:`CliError` when none does."""
    found: list[dict[str, Any]] = []
    failed: list[CliError] = []
    for client in clients.values():
        try:
            found += client.get(PATH, **query)["lines"]
        except CliError as error:
            failed.append(error)
    if failed and len(failed) == len(clients):
        raise failed[0]
    for each in failed:
        _leave_out(each)
    return sorted(found, key=lambda line: str(line.get("time")))


def _leave_out(error: CliError) -> None:
    """One program of two. Raises what was asked wrongly: the other program says the same."""
    if error.status == 422:
        raise error
    print(f"Lines are missing: {error.detail}", file=sys.stderr, flush=True)


def _follow(clients: dict[str, Client], query: dict[str, Any], limit: int, *, json_wanted: bool) -> None:
    """Until Ctrl-C, or until all programs refuse. What cannot be reached is tried again: it may be starting."""
    found: queue.Queue[dict[str, Any] | CliError] = queue.Queue()
    for name, client in clients.items():
        reader = _Reader(name, client, {**query, "limit": limit}, found)
        threading.Thread(target=reader.run, name=f"logs-{name}", daemon=True).start()
    left = len(clients)
    while True:
        line = found.get()
        if not isinstance(line, CliError):
            _print(line, json_wanted=json_wanted)
            continue
        left -= 1
        if not left:
            raise line
        _leave_out(line)


class _Reader:
    """Reads the stream of one program, again after each end."""

    def __init__(
        self, name: str, client: Client, query: dict[str, Any], found: queue.Queue[dict[str, Any] | CliError]
    ) -> None:
        self._name, self._client, self._query, self._found = name, client, query, found
        self._last = self._shown_until = ""
        self._reached = True

    def run(self) -> None:
        while True:
            try:
                for _, line in self._client.events(STREAM_PATH, query=self._query):
                    self._take(line)
                reason = "ended"
            except CliError as error:
                if error.code != "unreachable" and error.status != 503:
                    self._found.put(error)
                    return
                reason = error.detail
            except (OSError, ValueError) as error:
                reason = str(error) or type(error).__name__
            if self._reached:
                print(
                    f"The log of {self._name} cannot be followed, trying again: {reason}", file=sys.stderr, flush=True
                )
            self._reached = False
            # Everything since the last line, also what was written while nothing was connected.
            self._shown_until = self._last
            self._query = {**self._query, "limit": 1000, "since": self._last or self._query["since"]}
            time.sleep(AGAIN_S)

    def _take(self, line: Any) -> None:
        self._reached = True
        if isinstance(line, dict) and (at := str(line.get("time"))) > self._shown_until:
            self._last = max(self._last, at)  # the lines of workers arrive later than others
            self._found.put(line)


def _print(line: dict[str, Any], *, json_wanted: bool) -> None:
    if json_wanted:
        print(shown_json(encoder.dumps(line, ensure_ascii=False)), flush=True)
        return
    level = str(line.get("level"))
    colour = _COLOURS.get(level, "default")
    further = " ".join(f"{name}={value}" for name, value in line.items() if name not in _PLACED)
    at = f"[dim]{show.plain(str(line.get('time'))[:23].replace('T', ' '))}[/]"
    parts = [
        at, f"{show.plain(line.get('program') or '–'):8}", f"[{colour}]{show.plain(level):7}[/]",
        show.plain(line.get("message", "")), f"[dim]{show.plain(line.get('event') or '')} {show.plain(further)}[/]",
    ]  # fmt: skip
    show.console().print("  ".join(parts).rstrip())
    for more in ("exception", "stack"):
        for row in str(line.get(more) or "").splitlines():
            show.console().print(f"    [dim]|[/] {show.plain(row)}")

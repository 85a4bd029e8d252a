"""At the end of a start: a box with the addresses on standard output, and a link that signs in once.

The link is printed at every start until somebody has signed in, and not through the log, which redacts
secrets. The box is for people in front of a terminal; elsewhere the link is one line among those of the log.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from aiohttp import web

from bot_service import keys
from bot_service.dashboard.context import DASHBOARD
from bot_service.settings import BotSettings

_LINE = "─" * 64


def welcome(app: web.Application, address: str) -> None:
    """Prints the box or the line. The service answers already; ``address`` is its public URL."""
    settings = app[keys.SETTINGS]
    # Replicas have a key that somebody chose, and a proxy before them: a link of one of them would not do.
    first = settings.replica_url is None and not app[DASHBOARD].signed_in_once.exists()
    code = app[keys.ACCESS].login_links.make(None) if first else None
    if sys.stdout.isatty() or (first and settings.started_with):
        text = box("Veilleur is running", rows(settings, address, code))
    elif first:
        text = f"Dashboard: {address}/login?code={code} (signs you in once, within an hour)"
    else:
        return
    # Standard output is a LogStream in the program: this does not wait.
    print(text, flush=True)  # noqa: T201


def rows(settings: BotSettings, address: str, code: str | None) -> dict[str, str]:
    """What the box says, by label. With ``code`` the dashboard's address signs in."""
    found = {"Dashboard": f"{address}/" if code is None else f"{address}/login?code={code}"}
    if code is not None:
        found[""] = "The link signs you in once, within an hour. For another one: veilleur login-link"
    if settings.status_page_url:
        found["Status page"] = settings.status_page_url
    found |= {"API": f"{address}/docs", "Guides": "docs/README.md"}
    if settings.engine != "simulator":
        found["No phone?"] = f"ENGINE=simulator {settings.started_with or ''}".strip()
    if settings.started_with:
        found["Stop"] = f"Ctrl-C where {settings.started_with} runs"
    return found


def box(title: str, rows: Mapping[str, str]) -> str:
    """``rows`` by their label. It has no right edge, because a login link is longer than a line."""
    width = max(map(len, rows))
    lines = [f"   {label:<{width}}   {text}" for label, text in rows.items()]
    return "\n".join(["", _LINE, f" {title}", "", *lines, _LINE, ""])

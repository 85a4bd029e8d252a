"""``veilleur login-link``: a fresh one-time link to the dashboard, for whoever holds the administrator's key."""

from __future__ import annotations

from shared.tools.cli import show, where


def command(json: show.Json = False) -> None:
    """Print a link that logs in to the dashboard once."""
    with show.errors(json):
        made = where.bot().post("/api/login-links")
        show.done(f"{made['url']}\nIt works once, until {made['expiresAt']}.", made, json_wanted=json)

"""Commands about the bot service itself: its figures, and the replicas that share its sessions."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Limit, part

replicas = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def statistics(json: show.Json = False) -> None:
    """Show the figures of the bot service: memory, sessions, messages, webhooks; what Prometheus reads is /metrics."""
    with show.errors(json):
        value = settings.bot().get("/api/metrics")
        show.done(show.fields(show.flat(value)), value, json_wanted=json)


@replicas.command("list")
def list_replicas(json: show.Json = False) -> None:
    """List the bot services that share these sessions; without replicas, the one that answers."""
    with show.errors(json):
        value = settings.bot().get("/api/replicas")
        rows = [
            (each["id"], each["url"] or "–", each["version"], show.ago(each["startedAt"]),
             "ends" if each["draining"] else "answers" if each["here"] else "runs", *_shares(each["sessions"]))
            for each in value["replicas"]
        ]  # fmt: skip
        if value["unowned"]["total"]:
            rows.append(("–", "–", "–", "–", "no replica", *_shares(value["unowned"])))
        columns = ("Replica", "Address", "Version", "Started", "State", "Sessions", "Running", "Ready")
        show.listing(value, columns, rows, empty="No replica.", json_wanted=json)


def _shares(shares: dict[str, int]) -> tuple[str, str, str]:
    return str(shares["total"]), str(shares["wanted"]), str(shares["ready"])


@replicas.command("sessions")
def sessions_of(
    replica: Annotated[str, part("REPLICA", "Its id, as `veilleur replicas list` shows it.")],
    after: Annotated[str | None, typer.Option(help="Only the next ones: what the last page ended with.")] = None,
    limit: Limit = 100,
    json: show.Json = False,
) -> None:
    """List the sessions of a replica, the oldest first."""
    with show.errors(json):
        value = settings.bot().get(f"/api/replicas/{quote(replica, safe='')}/sessions", after=after, limit=limit)
        rows = [
            (each["id"], each["name"], each["owner"], show.coloured(each["state"]), each["wanted"])
            for each in value["sessions"]
        ]
        columns = ("Session", "Name", "Owner", "State", "Wanted")
        show.listing(value, columns, rows, empty="It has no session.", json_wanted=json, following="--after")

"""``veilleur webhooks …``: who gets events; create, change, pause, test, rotate the secret, delete."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.settings import duration
from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Yes, milliseconds, part
from shared.tools.cli.client import CliError

OVERLAP = duration(0, 7 * 86_400_000)
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Webhook = Annotated[str, part("WEBHOOK", "The webhook's id, such as wh-0123456789abcdef.")]
Events = Annotated[
    list[str] | None, typer.Option("--event", metavar="TYPE", help="A type or pattern such as session.*; repeatable.")
]
Headers = Annotated[
    list[str] | None, typer.Option("--header", metavar="'NAME: VALUE'", help="A header of its own; repeatable.")
]


def path(webhook: str, *more: str) -> str:
    return "/".join(["/api/webhooks", *(quote(each, safe="") for each in (webhook, *more))])


@app.command("list")
def list_webhooks(
    session: Annotated[str | None, typer.Option(help="Only those of this session.")] = None, json: show.Json = False
) -> None:
    """List webhooks with their health."""
    with show.errors(json):
        value = settings.bot().get("/api/webhooks", session=session)
        rows = [
            (each["id"], each["url"], each["session"] or "all", ",".join(each["events"]),
             show.coloured(each["health"]["state"]), str(each["health"]["waiting"]), str(each["health"]["failed"]))
            for each in value["webhooks"]
        ]  # fmt: skip
        columns = ("Webhook", "Address", "Session", "Events", "Health", "Waiting", "Failed")
        empty = "There are no webhooks. Create one with: veilleur webhooks create URL"
        show.listing(value, columns, rows, empty=empty, json_wanted=json)


@app.command("show")
def show_webhook(webhook: Webhook, json: show.Json = False) -> None:
    """Show a webhook with its health."""
    with show.errors(json):
        value = settings.bot().get(path(webhook))
        show.done(_fields(value), value, json_wanted=json)


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are posted.")],
    events: Events = None,
    session: Annotated[str | None, typer.Option(help="Only events of this session.")] = None,
    owner: Annotated[str | None, typer.Option(help="Events of this owner's sessions; for administrators.")] = None,
    headers: Headers = None,
    json: show.Json = False,
) -> None:
    """Create a webhook. Its secret is shown once."""
    with show.errors(json):
        body = {"url": url, "events": events, "session": session, "owner": owner, "headers": _headers(headers)}
        made = settings.bot().post("/api/webhooks", {name: value for name, value in body.items() if value})
        show.done(
            [f"Webhook {made['id']} is created. Its secret, shown only now:", made["secret"]], made, json_wanted=json
        )


@app.command()
def change(
    webhook: Webhook,
    url: Annotated[str | None, typer.Option(help="Where events are posted.")] = None,
    events: Events = None,
    session: Annotated[str | None, typer.Option(help="Only events of this session; empty for all.")] = None,
    headers: Headers = None,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Remove all headers of its own.")] = False,
    json: show.Json = False,
) -> None:
    """Change a webhook; what is not given stays. Headers replace those of before; '***' keeps a value."""
    with show.errors(json):
        body: dict[str, Any] = {"url": url, "events": events or None, "headers": _headers(headers)}
        body = {name: value for name, value in body.items() if value is not None}
        if no_headers:
            body["headers"] = {}
        if session is not None:
            body["session"] = session or None
        if not body:
            raise CliError("invalid", "--url, --event, --session, --header or --no-headers is needed", exit_code=2)
        value = settings.bot().patch(path(webhook), body)
        show.done(_fields(value), value, json_wanted=json)


def _active(verb: str, active: bool, past: str, about: str) -> None:
    def run(webhook: Webhook, json: show.Json = False) -> None:
        with show.errors(json):
            value = settings.bot().patch(path(webhook), {"active": active})
            show.done(f"{webhook} is {past}.", value, json_wanted=json)

    run.__doc__ = about
    app.command(verb)(run)


_active("pause", False, "paused", "Pause a webhook: it gets no new events; what waits for it stays.")
_active("resume", True, "active", "Resume a webhook; what waits for it is sent now.")


@app.command("test")
def call_webhook(webhook: Webhook, json: show.Json = False) -> None:
    """Send one test event now; exit code 1 when the receiver does not take it."""
    with show.errors(json):
        value = settings.bot().post(path(webhook, "test"))
        result = f"answered {value['status']}" if value["status"] is not None else f"failed: {value['error']}"
        show.done(f"{webhook} {result} after {value['durationMs']} ms.", value, json_wanted=json)
        if not value["delivered"]:
            raise typer.Exit(1)


@app.command()
def rotate_secret(
    webhook: Webhook,
    overlap: Annotated[
        str, typer.Option(metavar="DURATION", help="How long the old secret signs too, as 1h; 0 ends it.")
    ] = "24h",
    json: show.Json = False,
) -> None:
    """Make a new signing secret, which is shown once."""
    with show.errors(json):
        body = {"overlap": milliseconds("--overlap", overlap, OVERLAP)}
        made = settings.bot().post(path(webhook, "secret"), body)
        until = f"The old one signs too, until {made['oldSecretUntil']}." if made["oldSecretUntil"] else ""
        lines = ["The new secret, shown only now:", made["secret"], *([until] if until else [])]
        show.done(lines, made, json_wanted=json)


@app.command()
def delete(webhook: Webhook, yes: Yes = False, json: show.Json = False) -> None:
    """Delete a webhook; what waits for it is dropped."""
    if not yes and not json:
        typer.confirm(f"Delete {webhook} and what waits for it?", abort=True)
    with show.errors(json):
        settings.bot().delete(path(webhook))
        show.done(f"{webhook} is deleted.", {"id": webhook, "deleted": True}, json_wanted=json)


def _headers(given: list[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    pairs = [each.partition(":") for each in given]
    if any(not colon or not name.strip() for name, colon, _ in pairs):
        raise CliError("invalid", "--header: write NAME: VALUE", exit_code=2)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _fields(value: dict[str, Any]) -> list[str]:
    health = value["health"]
    failure = health["lastFailureError"] and f"{show.ago(health['lastFailureAt'])}, {health['lastFailureError']}"
    shown = {
        **{name: value[name] for name in ("id", "url", "session", "owner", "active", "dialect")},
        "events": ",".join(value["events"]),
        "headers": ",".join(value["headers"]),
        "oldSecret": value["oldSecretUntil"] and f"signs too until {value['oldSecretUntil']}",
        "health": health["state"],
        "lastSuccess": show.ago(health["lastSuccessAt"]),
        "lastFailure": failure,
        "waiting": health["waiting"],
        "failed": health["failed"],
        "nextAttempt": show.ago(health["nextAttemptAt"]),
    }
    return show.fields(shown)

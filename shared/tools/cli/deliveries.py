"""``veilleur deliveries …``: events on their way to webhooks; list, look at one, send again."""

from __future__ import annotations

import json as encoder
from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.arguments import moment, part

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Webhook = Annotated[str, part("WEBHOOK", "The webhook's id.")]
Event = Annotated[str, part("EVENT", "The event's id.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only events since then: a time, or how long ago, as 2h.")
]


@app.command("list")
def list_deliveries(
    state: Annotated[str, typer.Option(help="dead, pending, delivered or all.")] = "dead",
    webhook: Annotated[str | None, typer.Option(help="Only those to this webhook.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Only events of this type.")] = None,
    session: Annotated[str | None, typer.Option(help="Only events of this session.")] = None,
    since: Since = None,
    before: Annotated[str | None, typer.Option(help="Only older ones: what the last page ended with.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The most that are shown.")] = 50,
    json: show.Json = False,
) -> None:
    """List deliveries, the newest first; those that were given up when no state is given."""
    with show.errors(json):
        value = settings.bot().get(
            "/api/deliveries", state=state, webhook=webhook, type=event_type, session=session,
            since=moment("--since", since), before=before, limit=limit,
        )  # fmt: skip
        rows = [
            (each["event"], each["webhook"], each["type"], each["session"] or "–", each["state"],
             str(each["attempts"]), _result(each), show.ago(each["createdAt"]))
            for each in value["deliveries"]
        ]  # fmt: skip
        columns = ("Event", "Webhook", "Type", "Session", "State", "Attempts", "Result", "Created")
        empty = "There are no such deliveries."
        show.listing(value, columns, rows, empty=empty, json_wanted=json, following="--before")


@app.command("show")
def show_delivery(webhook: Webhook, event: Event, json: show.Json = False) -> None:
    """Show a delivery: the request, the attempts with their answers, the next try."""
    with show.errors(json):
        value = settings.bot().get(f"/api/deliveries/{quote(webhook, safe='')}/{quote(event, safe='')}")
        show.done(_text(value), value, json_wanted=json)


@app.command()
def resend(
    webhook: Annotated[str | None, typer.Argument(metavar="[WEBHOOK]", help="The webhook; all without it.")] = None,
    events: Annotated[
        list[str] | None, typer.Argument(metavar="[EVENT]...", help="These, also when they arrived.")
    ] = None,
    since: Since = None,
    json: show.Json = False,
) -> None:
    """Send again what failed: all of it, that of one webhook, that since a time; or the events named."""
    with show.errors(json):
        body = {"webhook": webhook, "events": events, "since": moment("--since", since)}
        value = settings.bot().post("/api/deliveries/replay", {name: each for name, each in body.items() if each})
        show.done(f"{value['replayed']} sent again.", value, json_wanted=json)


def _result(delivery: dict[str, Any]) -> str:
    if delivery["lastStatus"] is not None:
        return f"answered {delivery['lastStatus']}"
    return delivery["lastError"] or "waiting"


def _text(value: dict[str, Any]) -> list[str]:
    names = ("event", "type", "webhook", "session", "state", "attempts")
    head = {name: value[name] for name in names} | {"result": _result(value), "nextAttempt": value["nextAttemptAt"]}
    lines = [*show.fields(head), "", f"POST {value['request']['url'] or 'ALERT_URLS'}"]
    lines += [f"{name}: {each}" for name, each in value["request"]["headers"].items()]
    lines += ["", *encoder.dumps(value["body"], indent=2, ensure_ascii=False).split("\n"), ""]
    for each in value["history"]:
        result = f"answered {each['status']}" if each["status"] is not None else each["error"]
        lines.append(f"{each['at']}  {result} after {each['durationMs']} ms")
        lines += [f"    {line}" for line in (each["answer"] or "").splitlines()]
    return lines

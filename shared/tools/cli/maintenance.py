"""Commands for operators of the watchdog: maintenance now and planned, announcements, channels, repairs."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from shared.settings import duration
from shared.tools.cli import settings, show
from shared.tools.cli.arguments import milliseconds, moment, part
from shared.tools.cli.client import CliError
from shared.visible import shown

MAX_PAUSE = duration(1000, 7 * 86_400_000)
Until = Annotated[str | None, typer.Option(metavar="TIME", help="When it ends: a time, or in how long, as 2h.")]
Text = Annotated[str, typer.Option(help="What readers of the status page see.")]
Author = Annotated[str, typer.Option(help="Who does it.")]

announcements = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
repairs = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def pause(
    for_: Annotated[str | None, typer.Option("--for", help="How long: 30m, 2h.")] = None,
    until: Until = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Planned: when it begins, or in how long, as 2h.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for operators.")] = "",
    text: Text = "",
    target: Annotated[str, typer.Option(help="Which bot service; * for all.")] = "*",
    author: Author = "cli",
    json: show.Json = False,
) -> None:
    """Maintenance, now or planned: no alert and no repair for a time that always ends."""
    with show.errors(json):
        if (for_ is None) == (until is None):
            raise CliError("invalid", "--for or --until is needed, and not both", exit_code=2)
        request = {
            "target": target, "from": moment("--from", begin, ahead=True), "until": moment("--until", until, ahead=True),
            "durationMs": None if for_ is None else milliseconds("--for", for_, MAX_PAUSE),
            "reason": reason, "text": text, "author": author,
        }  # fmt: skip
        made = settings.watchdog().post(
            "/api/pause", {name: value for name, value in request.items() if value is not None}
        )
        sentence = "Paused" if made["open"] else f"Planned from {show.moment(made['fromMs'])}"
        show.done(f"{sentence} until {show.moment(made['untilMs'])}.", made, json_wanted=json)


def list_pauses(json: show.Json = False) -> None:
    """List maintenance that is going on or planned."""
    with show.errors(json):
        value = settings.watchdog().get("/api/pause")
        rows = [
            (each["id"], each["target"], "now" if each["open"] else "planned", show.moment(each["fromMs"]),
             show.moment(each["untilMs"]), each["author"] or "–", each["reason"] or "–", each["text"] or "–")
            for each in value["pauses"]
        ]  # fmt: skip
        columns = ("Pause", "Target", "State", "From", "Until", "Author", "Reason", "Text")
        show.listing(value, columns, rows, empty="No maintenance is going on or planned.", json_wanted=json)


def resume(
    pause: Annotated[
        str | None, typer.Argument(metavar="[PAUSE]", help="Only this one, as `veilleur pauses` shows it.")
    ] = None,
    json: show.Json = False,
) -> None:
    """End every pause now, planned ones too, or one of them."""
    with show.errors(json):
        value = settings.watchdog().delete("/api/pause" + (f"/{quote(pause, safe='')}" if pause else ""))
        number = len(value["ended"])
        show.done(f"{number} {'pause' if number == 1 else 'pauses'} ended.", value, json_wanted=json)


@announcements.command("list")
def list_announcements(json: show.Json = False) -> None:
    """List what stands on top of the status page."""
    with show.errors(json):
        value = settings.watchdog().get("/api/announcements")
        rows = [
            (each["id"], each["severity"], each["title"], show.ago_ms(each["createdAtMs"]),
             "–" if each["untilMs"] is None else show.moment(each["untilMs"]), each["author"] or "–")
            for each in value["announcements"]
        ]  # fmt: skip
        columns = ("Announcement", "Severity", "Title", "Made", "Until", "Author")
        show.listing(value, columns, rows, empty="There is no announcement.", json_wanted=json)


@announcements.command("create")
def announce(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="One line.")],
    text: Text = "",
    severity: Annotated[Literal["info", "problem"], typer.Option(help="info or problem.")] = "info",
    until: Until = None,
    author: Author = "cli",
    json: show.Json = False,
) -> None:
    """Put an announcement on top of the status page, until it is ended."""
    with show.errors(json):
        request = {"title": title, "text": text, "severity": severity, "author": author}
        end = moment("--until", until, ahead=True)
        made = settings.watchdog().post("/api/announcements", request | ({} if end is None else {"until": end}))
        show.done(f"{made['id']} is on the status page.", made, json_wanted=json)


@announcements.command("end")
def end_announcement(
    announcement: Annotated[str, part("ANNOUNCEMENT", "Its id, as `veilleur announcements list` shows it.")],
    json: show.Json = False,
) -> None:
    """Take an announcement off the status page."""
    with show.errors(json):
        value = settings.watchdog().delete(f"/api/announcements/{quote(announcement, safe='')}")
        show.done(f"{announcement} is ended.", value, json_wanted=json)


def channels(json: show.Json = False) -> None:
    """List the alert channels: do they work, what waits for them."""
    with show.errors(json):
        found = settings.watchdog().get("/api/status")["channels"]
        rows = [
            (each["name"], each["role"], show.Markup("[red]failing[/]") if each["failingSinceMs"] else show.Markup("[green]works[/]"),
             _ago(each["lastOkAtMs"]), _last_failure(each), str(each["waiting"]))
            for each in found
        ]  # fmt: skip
        columns = ("Channel", "Role", "State", "Last success", "Last failure", "Waiting")
        empty = "There is no channel, or this token does not see them."
        show.listing({"channels": found}, columns, rows, empty=empty, json_wanted=json)


def _ago(at_ms: int | None) -> str:
    return "–" if at_ms is None else show.ago_ms(at_ms)


def _last_failure(channel: dict[str, Any]) -> str:
    at_ms = channel["lastFailedAtMs"]
    return "–" if at_ms is None else f"{show.ago_ms(at_ms)}: {channel['lastFailure']}"


@repairs.command("list")
def list_repairs(json: show.Json = False) -> None:
    """List repairs, and what the watchdog may still do or why it does nothing."""
    with show.errors(json):
        value = settings.watchdog().get("/api/status")
        targets = [
            {name: each[name] for name in ("name", "repairBudget", "repairRefusal", "repairRefusedAtMs")}
            for each in value["targets"]
        ]
        if json:
            show.as_json({"repairs": value["repairs"], "targets": targets})
            return
        for each in targets:
            budget = "repairs are off" if each["repairBudget"] is None else f"{each['repairBudget']} repairs left"
            refusal = (
                f", refused {_ago(each['repairRefusedAtMs'])}: {each['repairRefusal']}" if each["repairRefusal"] else ""
            )
            show.console().print(shown(f"{each['name']}: {budget}{refusal}"), markup=False)
        rows = [
            (each["target"], each["remediator"], each["action"], show.ago_ms(each["atMs"]), each["result"], each["incidentId"])
            for each in value["repairs"]
        ]  # fmt: skip
        show.table(("Target", "By", "Action", "When", "Result", "Incident"), rows, empty="No repair so far.")


@repairs.command("restore-budget")
def restore_budget(json: show.Json = False) -> None:
    """The cause is fixed: forget the repairs made so far, so that the whole budget is available."""
    with show.errors(json):
        value = settings.watchdog().delete("/api/repairs/budget")
        show.done(f"{value['budget']} repairs are available again.", value, json_wanted=json)

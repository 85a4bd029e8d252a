"""Commands about the watchdog: status, incidents, pings, and a test of alert channels."""

from __future__ import annotations

import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.clock import days_old, from_ms, iso, parse_iso, to_ms
from shared.reason_words import words
from shared.tools.cli import needs, settings, show
from shared.tools.cli.arguments import moment, part
from shared.tools.cli.client import CliError
from shared.visible import shown
from shared.web.ui.sessions_ready import of_health

# States of a bot service that make the exit code 1.
_WRONG = {"DOWN", "FLAPPING", "DEGRADED", "BLIND", "PARTIAL"}


Incident = Annotated[str, part("INCIDENT", "The incident's id, as `veilleur incidents` shows it.")]


def status(json: show.Json = False) -> None:
    """One look at both programs; exit code 1 when something is wrong."""
    with show.errors(json):
        found = {"bot": _try("/health", bot=True), "watchdog": _try("/api/status", bot=False)}
        if json:
            show.as_json(found)
        else:
            for name, value in found.items():
                show.console().print(f"{name:9} {_status_sentence(name, value)}")
            _print_version(found["bot"].get("clientVersion"))
            if needs.count(found["bot"]):
                for line in needs.lines(settings.bot()):
                    show.console().print(f"{'person':9} {shown(line)}", markup=False)
        wrong = any("error" in value for value in found.values()) or found["bot"].get("status") != "ok"
        states = {each.get("state") for each in found["watchdog"].get("targets", [])}
        if wrong or needs.count(found["bot"]) or states & _WRONG:
            raise typer.Exit(1)


def _try(path: str, *, bot: bool) -> dict[str, Any]:
    try:
        answer = (settings.bot() if bot else settings.watchdog()).request("GET", path)
    except CliError as error:
        return {"error": error.code, "detail": error.detail}
    return answer.value if isinstance(answer.value, dict) else {"error": f"http_{answer.status}"}


def _status_sentence(name: str, value: dict[str, Any]) -> str:
    if "error" in value:
        return f"[red]{show.plain(value.get('detail', value['error']))}[/]"
    if name == "bot":
        sessions = value.get("sessions", {})
        if value.get("status") != "ok":
            return f"[red]unhealthy: {show.plain(', '.join(value.get('reasons', [])))}[/]"
        return f"[green]running[/] for {show.span(value['uptime'])}, {show.plain(of_health(sessions))}" + (
            f", [red]{needs.sentence(number)}[/]" if (number := needs.count(value)) else ""
        )
    return "; ".join(_target(each) for each in value.get("targets", []))


def _target(target: dict[str, Any]) -> str:
    """What the watchdog sees, since when, and why where that is no good news."""
    text, since_ms, reason = (
        f"{show.plain(target['name'])} is {show.coloured(target['state'])}",
        target.get("sinceMs"),
        target.get("reason"),
    )
    if since_ms:
        text += f" since {show.moment(since_ms)}, for {show.span_since(since_ms)}"
    return f"{text}: {show.plain(words(reason))}" if reason and target["state"] not in ("UP", "PAUSED") else text


def _print_version(found: Any) -> None:
    """The client version that new logins announce, from ``/health``, if there is one."""
    if not isinstance(found, dict):
        return
    lines = []
    if "version" in found:
        lines.append(show.plain(f"version {found['version']} ({found['source']}, {days_old(found['ageDays'])})"))
    if found.get("outdated"):
        lines.append("[red]refuses this client version: all logins wait until another one is accepted[/]")
    if "problem" in found:
        lines.append(f"[yellow]{show.plain(found['problem'])}[/]")
    for line in lines:
        show.console().print(f"{'WhatsApp':9} {line}")


def incidents(
    target: Annotated[str | None, typer.Option(help="Only of this bot service.")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only those that began before: a time, or how long ago, as 7d.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="The most that are shown.")] = 20,
    json: show.Json = False,
) -> None:
    """List incidents, newest first."""
    with show.errors(json):
        older = moment("--before", before)
        before_ms = None if older is None else to_ms(parse_iso(older))
        value = settings.watchdog().get("/api/incidents", target=target, before=before_ms, limit=limit)
        if json:
            show.as_json(value)
            return
        rows = [
            (each["id"], each["target"], each["kind"], words(each["reason"]), show.ago_ms(each["openedAtMs"]),
             show.Markup("[red]open[/]") if each["closedAtMs"] is None else show.span(each["lastedMs"]))
            for each in value["incidents"]
        ]  # fmt: skip
        show.table(("Incident", "Target", "Kind", "Reason", "Began", "Lasted"), rows, empty="No incident so far.")


def incident(incident: Incident, json: show.Json = False) -> None:
    """Show an incident with everything that happened in it."""
    with show.errors(json):
        value = settings.watchdog().get(f"/api/incidents/{quote(incident, safe='')}")
        acknowledged = value["acknowledgedBy"] or (value["acknowledgedAtMs"] is not None)
        head = {name: value[name] for name in ("id", "target", "kind")} | {
            "reason": words(value["reason"]), "began": show.moment(value["openedAtMs"]),
            "ended": "–" if value["closedAtMs"] is None else show.moment(value["closedAtMs"]),
            "lasted": show.span(value["lastedMs"]), "acknowledged": acknowledged,
        }  # fmt: skip
        lines = [
            f"{iso(from_ms(each['atMs']))}  {each['kind']:15}  {each.get('text', '')}".rstrip()
            for each in value["timeline"]
        ]
        show.done([*show.fields(head), "", *lines], value, json_wanted=json)


def acknowledge(
    incident: Incident,
    author: Annotated[str, typer.Option(help="Who takes care of it.")] = "cli",
    json: show.Json = False,
) -> None:
    """Acknowledge an incident: reminders of it end."""
    with show.errors(json):
        value = settings.watchdog().post(f"/api/incidents/{quote(incident, safe='')}/ack", {"author": author})
        show.done(f"{incident} is acknowledged by {value['acknowledgedBy']}.", value, json_wanted=json)


def ping(json: show.Json = False) -> None:
    """Ping every bot service now, without waiting for the next turn."""
    with show.errors(json):
        value = settings.watchdog().post("/api/ping")
        show.done(f"A ping of {', '.join(value['targets'])} begins.", value, json_wanted=json)


def send_test(
    channel: Annotated[str, typer.Option(help="Only this one: its name or id; all without it.")] = "",
    timeout: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="How long to wait for the answers.")] = 30,
    json: show.Json = False,
) -> None:
    """Send a test through the alert channels; exit code 1 when one did not arrive."""
    with show.errors(json):
        watchdog = settings.watchdog()
        value = watchdog.post("/api/test-alert", {"author": "cli", "channel": channel})
        until = time.monotonic() + timeout
        # A channel is tried again after a failure; here only the first answer counts.
        while any(_undecided(each) for each in value["receipts"]) and time.monotonic() < until:
            time.sleep(0.3)
            value = watchdog.get(f"/api/notices/{quote(value['id'], safe='')}")
        if json:
            show.as_json(value)
        else:
            rows = [(each["channel"], each["role"], _arrived(each)) for each in value["receipts"]]
            show.table(("Channel", "Role", "Result"), rows, empty="There is no channel: ALERT_URLS is empty.")
        if not value["receipts"] or any(each["state"] != "done" for each in value["receipts"]):
            raise typer.Exit(1)


def _undecided(receipt: dict[str, Any]) -> bool:
    # A running attempt is counted already; its result is known when it has a reason.
    return receipt["state"] in ("waiting", "leased") and not receipt["reason"]


def _arrived(receipt: dict[str, Any]) -> str:
    if receipt["state"] == "done":
        return show.Markup("[green]arrived[/]")
    if receipt["reason"]:
        return show.Markup(f"[red]failed: {show.plain(receipt['reason'])}[/]")
    return show.Markup("[yellow]no answer yet[/]")

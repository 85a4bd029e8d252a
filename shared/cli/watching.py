"""What the watchdog knows: status, incidents, pauses, and a test of every alert channel."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shared.cli import show, where
from shared.cli.client import CliError
from shared.clock import SystemClock, iso, parse_iso
from shared.settings import duration

MAX_PAUSE = duration(1000, 30 * 86_400_000)


def status(json: show.Json = False) -> None:
    """One look at both programs; exit code 1 when something is wrong."""
    with show.errors(json):
        found = {"bot": _try("/health", bot=True), "watchdog": _try("/api/status", bot=False)}
        if json:
            show.as_json(found)
        else:
            for name, value in found.items():
                show.console().print(f"{name:9} {_status_sentence(name, value)}")
        if any("error" in value for value in found.values()) or found["bot"].get("status") != "ok":
            raise typer.Exit(1)


def _try(path: str, *, bot: bool) -> dict[str, Any]:
    try:
        answer = (where.bot() if bot else where.watchdog()).request("GET", path)
    except CliError as error:
        return {"error": error.code, "detail": error.detail}
    return answer.value if isinstance(answer.value, dict) else {"error": f"http_{answer.status}"}


def _status_sentence(name: str, value: dict[str, Any]) -> str:
    if "error" in value:
        return f"[red]{value.get('detail', value['error'])}[/]"
    if name == "bot":
        sessions = value.get("sessions", {})
        if value.get("status") != "ok":
            return f"[red]unhealthy: {', '.join(value.get('reasons', []))}[/]"
        return (
            f"[green]running[/] for {show.span(value['uptime'])}, "
            f"{sessions.get('ready')} of {sessions.get('total')} sessions ready"
        )
    return "; ".join(f"{each['target']} is {show.coloured(each['state'])}" for each in value.get("targets", []))


def incidents(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    json: show.Json = False,
) -> None:
    """List incidents, newest first."""
    with show.errors(json):
        value = where.watchdog().get("/api/incidents", limit=limit)
        if json:
            show.as_json(value)
            return
        rows = [
            (each["id"], each["target"], each["kind"], each["reason"], show.ago(each["openedAt"]),
             "[red]open[/]" if each.get("closedAt") is None else _lasted(each))
            for each in value["incidents"]
        ]  # fmt: skip
        show.table(("Incident", "Target", "Kind", "Reason", "Began", "Lasted"), rows, empty="No incident so far.")


def _lasted(incident: dict[str, Any]) -> str:
    apart = parse_iso(incident["closedAt"]) - parse_iso(incident["openedAt"])
    return show.span(apart.total_seconds() * 1000)


def pause(
    for_: Annotated[str, typer.Option("--for", help="How long: 30m, 2h.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    target: Annotated[str, typer.Option(help="Which bot service.")] = "bot",
    json: show.Json = False,
) -> None:
    """Maintenance: no alert and no repair for a time that always ends."""
    with show.errors(json):
        try:
            length_ms = MAX_PAUSE.parse(for_)
        except (ValueError, KeyError):
            raise CliError("invalid", f"--for: {for_!r} is not {MAX_PAUSE.accepts}", exit_code=2) from None
        made = where.watchdog().post(
            "/api/pauses", {"target": target, "forMs": length_ms, "reason": reason, "author": "cli"}
        )
        show.done(f"Paused until {made['until']}.", made, json_wanted=json)


def resume(
    target: Annotated[str, typer.Option(help="Which bot service.")] = "bot",
    json: show.Json = False,
) -> None:
    """End every pause of a target now."""
    with show.errors(json):
        watchdog = where.watchdog()
        now = iso(SystemClock().now())
        open_now = [each for each in watchdog.get("/api/pauses")["pauses"] if each["target"] == target]
        for each in open_now:
            watchdog.delete(f"/api/pauses/{each['id']}")
        value = {"target": target, "ended": [each["id"] for each in open_now], "at": now}
        show.done(f"{len(open_now)} pause(s) of {target} ended.", value, json_wanted=json)


def send_test(json: show.Json = False) -> None:
    """Send a test through every alert channel and tell which arrived; exit code 1 when one did not."""
    with show.errors(json):
        value = where.watchdog().post("/api/test-alert")
        channels = value["channels"]
        if json:
            show.as_json(value)
        else:
            rows = [
                (each["label"], each.get("role", ""),
                 "[green]arrived[/]" if each["ok"] else f"[red]failed: {each['reason']}[/]")
                for each in channels
            ]  # fmt: skip
            show.table(("Channel", "Role", "Result"), rows, empty="No channel is set: ALERT_URLS is empty.")
        if not channels or not all(each["ok"] for each in channels):
            raise typer.Exit(1)

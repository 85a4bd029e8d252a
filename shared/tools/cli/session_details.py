"""More of ``veilleur sessions …``: look at one session, change it, and act for the simulated phone."""

from __future__ import annotations

import json as decoder
from typing import Annotated, Any

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Limit, Session, at, given
from shared.tools.cli.client import CliError


def add_to(app: typer.Typer) -> None:
    """Add these commands to those of ``sessions``."""
    for name, command in (
        ("show", show_session),
        ("health", health),
        ("change", change),
        ("history", history),
        ("simulate", simulate),
    ):
        app.command(name)(command)


def show_session(session: Session, json: show.Json = False) -> None:
    """Show a session: state, since when, why, number, next try."""
    with show.errors(json):
        value = settings.bot().get(at(session))
        show.done(show.fields(value), value, json_wanted=json)


def health(session: Session, json: show.Json = False) -> None:
    """Show whether a session is ready and receives, part by part; exit code 1 when it is not ready."""
    with show.errors(json):
        value = settings.bot().get(at(session, "health"))
        show.done(show.fields(show.flat(value)), value, json_wanted=json)
    if not value["ready"]:
        raise typer.Exit(1)


def change(
    session: Session,
    name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    owner: Annotated[str | None, typer.Option(help="The new owner; for administrators.")] = None,
    json: show.Json = False,
) -> None:
    """Change the name or the owner of a session."""
    with show.errors(json):
        value = settings.bot().patch(at(session), given("--name or --owner", name=name, owner=owner))
        show.done(f"{session} is changed.", value, json_wanted=json)


def history(session: Session, limit: Limit = 50, json: show.Json = False) -> None:
    """List the changes of state of a session, newest first."""
    with show.errors(json):
        value = settings.bot().get(at(session, "transitions"), limit=limit)
        rows = [
            (show.ago(each["at"]), show.coloured(each["from"]), show.coloured(each["to"]), each["reason"])
            for each in value["transitions"]
        ]
        show.listing(value, ("When", "From", "To", "Reason"), rows, empty="No change so far.", json_wanted=json)


def simulate(
    session: Session,
    action: Annotated[str, typer.Argument(help="What the phone or the network does: scan, message, drop, …")],
    values: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=TEXT|NAME:=JSON]...", help="Arguments of the action.")
    ] = None,
    json: show.Json = False,
) -> None:
    """Act for the phone of a simulated session (ENGINE=simulator); docs/simulator.md lists the actions."""
    with show.errors(json):
        value = settings.bot().post(at(session, "simulate"), {"action": action, **_named(values or [])})
        show.done(f"Done: {value['result']}", value, json_wanted=json)


def _named(values: list[str]) -> dict[str, Any]:
    """``text=hello`` is a text, ``count:=3`` JSON."""
    found = {}
    for each in values:
        name, equals, text = each.partition("=")
        if not (name.strip(":") and equals):
            raise CliError("invalid", f"{each!r} is neither NAME=TEXT nor NAME:=JSON", exit_code=2)
        if not name.endswith(":"):
            found[name] = text
            continue
        try:
            found[name[:-1]] = decoder.loads(text)
        except ValueError:
            raise CliError("invalid", f"{each!r}: what follows := is no JSON", exit_code=2) from None
    return found

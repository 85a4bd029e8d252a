"""Lists every command of ``veilleur``; the other modules hold the commands of one subject each."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.tools.cli import (
    chats,
    check,
    deliveries,
    doctor,
    groups,
    keys,
    logs,
    maintenance,
    messages,
    newsletters,
    people,
    proxy,
    service,
    session_details,
    sessions,
    settings,
    show,
    transfer,
    watching,
    webhooks,
)
from shared.version import VERSION

session_details.add_to(sessions.app)
transfer.add_to(sessions.app)

app = typer.Typer(
    name="veilleur",
    help="Look at, use and repair Veilleur's two programs. Addresses and keys come from the environment, from .env "
    "or from the secrets made at first start.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(
    sessions.app, name="sessions", help="WhatsApp sessions: list, create, pair, send, stop, move, delete, watch."
)
app.add_typer(
    messages.app,
    name="messages",
    help="Messages: send, post a status, react, edit, revoke, forward, mark, fetch files.",
)
app.add_typer(chats.app, name="chats", help="What a session has received and sent: chats, messages, search.")
app.add_typer(groups.app, name="groups", help="Groups: list, create, change, members, requests, invite, join, leave.")
app.add_typer(
    newsletters.app, name="newsletters", help="WhatsApp channels: list, show, create, follow, unfollow, mute, unmute."
)
app.add_typer(people.contacts, name="contacts", help="People: list, show, LID, check, block, follow.")
app.add_typer(people.profile, name="profile", help="The own account: name, text, picture, presence.")
app.add_typer(people.calls, name="calls", help="Calls: reject.")
app.add_typer(proxy.app, name="proxy", help="A session's own proxy: show, set, clear.")
app.add_typer(keys.app, name="keys", help="API keys: list, create, revoke.")
app.add_typer(webhooks.app, name="webhooks", help="Who gets events: list, create, change, pause, test, rotate secrets.")
app.add_typer(deliveries.app, name="deliveries", help="Events on their way to webhooks: list, look at, send again.")
app.add_typer(
    maintenance.announcements, name="announcements", help="What stands on top of the status page: list, create, end."
)
app.add_typer(maintenance.repairs, name="repairs", help="What the watchdog repairs: list, restore the budget.")
app.add_typer(service.replicas, name="replicas", help="Bot services that share sessions: list, their sessions.")
app.command("status")(watching.status)
app.command("logs")(logs.logs)
app.command("incidents")(watching.incidents)
app.command("incident")(watching.incident)
app.command("ack")(watching.acknowledge)
app.command("ping")(watching.ping)
app.command("pause")(maintenance.pause)
app.command("pauses")(maintenance.list_pauses)
app.command("resume")(maintenance.resume)
app.command("channels")(maintenance.channels)
app.command("test-alert")(watching.send_test)
app.command("statistics")(service.statistics)
app.command("doctor")(doctor.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"veilleur {VERSION}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options before a command."""


@app.command()
def login_link(json: show.Json = False) -> None:
    """Print a link that logs in to the dashboard once."""
    with show.errors(json):
        made = settings.bot().post("/api/login-links")
        show.done([made["url"], f"It works once, until {made['expiresAt']}."], made, json_wanted=json)


@app.command(
    "check",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def check_command(context: typer.Context) -> None:
    """Ping once; exit codes as of Nagios plugins (0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)."""
    raise typer.Exit(check.main(context.args))

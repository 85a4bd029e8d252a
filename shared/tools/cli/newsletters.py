"""``veilleur newsletters …``: WhatsApp's channels. ``veilleur channels`` are those of alerts."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Session, at, part

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Newsletter = Annotated[str, part("CHANNEL", "Its id, such as 120363041234567890@newsletter, or the code of its link.")]


@app.command("list")
def list_newsletters(session: Session, json: show.Json = False) -> None:
    """List the channels that the account owns or follows."""
    with show.errors(json):
        value = settings.bot().get(at(session, "channels"))
        rows = [
            (each["id"], each["name"], each["role"], str(each["subscribers"]), "muted" if each["muted"] else "")
            for each in value["channels"]
        ]
        columns = ("Channel", "Name", "Role", "Subscribers", "Muted")
        show.listing(value, columns, rows, empty="The account follows no channel.", json_wanted=json)


@app.command("show")
def show_newsletter(session: Session, channel: Newsletter, json: show.Json = False) -> None:
    """Show a channel, also one that the account does not follow."""
    with show.errors(json):
        value = settings.bot().get(at(session, "channels", channel))
        show.done(show.fields(value), value, json_wanted=json)


@app.command()
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the channel.")],
    description: Annotated[str, typer.Option(help="What it is about.")] = "",
    json: show.Json = False,
) -> None:
    """Create a channel; the account becomes its owner."""
    with show.errors(json):
        made = settings.bot().post(at(session, "channels"), {"name": name, "description": description})
        show.done(f"Channel {made['id']} is created.", made, json_wanted=json)


@app.command()
def follow(session: Session, channel: Newsletter, json: show.Json = False) -> None:
    """Follow a channel."""
    with show.errors(json):
        settings.bot().put(at(session, "channels", channel, "follow"))
        show.done(f"{channel} is followed.", {"id": channel, "followed": True}, json_wanted=json)


@app.command()
def unfollow(session: Session, channel: Newsletter, json: show.Json = False) -> None:
    """Unfollow a channel."""
    with show.errors(json):
        settings.bot().delete(at(session, "channels", channel, "follow"))
        show.done(f"{channel} is not followed any more.", {"id": channel, "followed": False}, json_wanted=json)


@app.command()
def mute(session: Session, channel: Newsletter, json: show.Json = False) -> None:
    """Mute a channel: phones show no notification for it."""
    with show.errors(json):
        settings.bot().put(at(session, "channels", channel, "mute"))
        show.done(f"{channel} is muted.", {"id": channel, "muted": True}, json_wanted=json)


@app.command()
def unmute(session: Session, channel: Newsletter, json: show.Json = False) -> None:
    """Unmute a channel."""
    with show.errors(json):
        settings.bot().delete(at(session, "channels", channel, "mute"))
        show.done(f"{channel} is not muted any more.", {"id": channel, "muted": False}, json_wanted=json)

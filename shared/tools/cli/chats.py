"""``veilleur chats …``: what a session has received and sent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Before, Limit, Session, at

MessageState = Literal["queued", "sent", "delivered", "read", "failed", "received", "handled", "unhandled"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_chats(session: Session, before: Before = None, limit: Limit = 50, json: show.Json = False) -> None:
    """List chats, the newest message first, with what is unread."""
    with show.errors(json):
        value = settings.bot().get(at(session, "chats"), before=before, limit=limit)
        rows = [
            (
                each["chat"],
                each["name"] or "",
                str(each["unread"]),
                show.ago(each["last"]["at"]),
                _content(each["last"]),
            )
            for each in value["chats"]
        ]
        columns = ("Chat", "Name", "Unread", "Last", "Message")
        show.listing(value, columns, rows, empty="No message so far.", json_wanted=json, following="--before")


@app.command()
def messages(
    session: Session,
    chat: Annotated[str | None, typer.Option(help="Only this chat: a number or a JID.")] = None,
    search: Annotated[str | None, typer.Option(help="Only messages with this text.")] = None,
    direction: Annotated[Literal["in", "out"] | None, typer.Option(help="Only received or only sent ones.")] = None,
    state: Annotated[MessageState | None, typer.Option(help="Only messages in this state.")] = None,
    before: Before = None,
    limit: Limit = 50,
    json: show.Json = False,
) -> None:
    """List or search messages, newest first."""
    narrowed = {"chat": chat, "search": search, "direction": direction, "state": state, "before": before}
    with show.errors(json):
        value = settings.bot().get(at(session, "messages"), **narrowed, limit=limit)
        rows = [
            (show.ago(each["at"]), each["chat"], each["direction"], _content(each), each["state"], each["id"])
            for each in value["messages"]
        ]
        columns = ("When", "Chat", "Direction", "Message", "State", "Id")
        show.listing(value, columns, rows, empty="No such message.", json_wanted=json, following="--before")


@app.command()
def picture(
    session: Session,
    chat: Annotated[str, typer.Argument(metavar="CHAT", help="A number or a JID, of a person or a group.")],
    preview: Annotated[bool, typer.Option("--preview", help="The small picture.")] = False,
    json: show.Json = False,
) -> None:
    """Print where to fetch the picture of a person or a group."""
    with show.errors(json):
        value = settings.bot().get(at(session, "picture"), chat=chat, preview="true" if preview else None)
        show.done(value["url"], value, json_wanted=json)


def _content(message: dict[str, Any]) -> str:
    return str(message.get("text") or f"({message['type']})")

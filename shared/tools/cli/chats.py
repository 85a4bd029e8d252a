"""``veilleur chats …``: what a session has received and sent."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.tools.cli import settings, show

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Session = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="The most that are shown.")]


def at(session: str, *more: str) -> str:
    """The path of something of a session in the API."""
    return "/".join(["/api/sessions", *(quote(part, safe="") for part in (session, *more))])


@app.command("list")
def list_chats(session: Session, limit: Limit = 50, json: show.Json = False) -> None:
    """List chats, the newest message first, with what is unread."""
    with show.errors(json):
        value = settings.bot().get(at(session, "chats"), limit=limit)
        if json:
            show.as_json(value)
            return
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
        show.table(("Chat", "Name", "Unread", "Last", "Message"), rows, empty="No message so far.")


@app.command()
def messages(
    session: Session,
    chat: Annotated[str | None, typer.Option(help="Only this chat: a number or a JID.")] = None,
    search: Annotated[str | None, typer.Option(help="Only messages with this text.")] = None,
    limit: Limit = 50,
    json: show.Json = False,
) -> None:
    """List or search messages, newest first."""
    path = at(session, "messages") if chat is None else at(session, "chats", chat, "messages")
    with show.errors(json):
        value = settings.bot().get(path, search=search, limit=limit)
        if json:
            show.as_json(value)
            return
        rows = [
            (show.ago(each["at"]), each["chat"], each["direction"], _content(each), each["state"], each["id"])
            for each in value["messages"]
        ]
        show.table(("When", "Chat", "Direction", "Message", "State", "Id"), rows, empty="No such message.")


def _content(message: dict[str, Any]) -> str:
    return str(message.get("text") or f"({message['type']})")

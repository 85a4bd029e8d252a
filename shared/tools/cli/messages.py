"""``veilleur messages …``: send anything, post a status, and change, forward, mark or fetch what is there."""

from __future__ import annotations

import mimetypes
import uuid
from base64 import b64encode
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Session, Yes, at, part
from shared.tools.cli.client import CliError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Message = Annotated[str, part("MESSAGE", "The message's id.")]
Chat = Annotated[str, typer.Argument(metavar="CHAT", help="A telephone number or a JID, of a person or a group.")]
FileType = Literal["image", "document", "audio", "video", "sticker"]
StatusFile = Literal["image", "audio", "video"]


@app.command()
def send(
    session: Session,
    to: Chat,
    text: Annotated[str | None, typer.Option(help="A text, or the caption of a file.")] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="A file of this machine, or where to fetch one.")
    ] = None,
    as_: Annotated[FileType | None, typer.Option("--as", help="What the file is; else what its name says.")] = None,
    voice: Annotated[bool, typer.Option("--voice", help="An audio file is a voice message.")] = False,
    location: Annotated[str | None, typer.Option(metavar="LAT,LONG", help="A place: 48.8584,2.2945.")] = None,
    contact: Annotated[str | None, typer.Option(metavar="NUMBER", help="A contact, with --name.")] = None,
    name: Annotated[str | None, typer.Option(help="The name of the place or the contact.")] = None,
    poll: Annotated[str | None, typer.Option(metavar="QUESTION", help="A poll, with --option for each answer.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="An answer of the poll.")] = None,
    choices: Annotated[
        int, typer.Option(min=0, max=12, help="How many answers one person may choose; 0: any number.")
    ] = 1,
    reply_to: Annotated[str | None, typer.Option(metavar="MESSAGE", help="The message that this one answers.")] = None,
    link: Annotated[
        str | None, typer.Option(metavar="URL", help="A link in the text that has a preview, with --title.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The title of the link's preview.")] = None,
    mention: Annotated[
        list[str] | None, typer.Option(metavar="PERSON", help="Somebody that the text names with @.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The Idempotency-Key: the same key never sends twice.")] = None,
    json: show.Json = False,
) -> None:
    """Send a text, a file, a place, a contact or a poll."""
    with show.errors(json):
        body: dict[str, Any] = {"to": to, "type": "text", "text": text, "name": name, "replyTo": reply_to}
        if link is not None:
            body["linkPreview"] = {"url": link, "title": title or ""}
        if mention:
            body["mentions"] = mention
        if file is not None:
            body |= _file(file, as_, voice=voice)
        elif location is not None:
            body |= {"type": "location", **_place(location)}
        elif contact is not None:
            body |= {"type": "contact", "contactPhone": contact}
        elif poll is not None:
            body |= {"type": "poll", "poll": {"question": poll, "options": option or [], "selectable": choices}}
        elif text is None:
            raise CliError("invalid", "--text, --file, --location, --contact or --poll is needed", exit_code=2)
        _send(session, body, key, json_wanted=json)


def _file(file: str, as_: str | None, *, voice: bool) -> dict[str, Any]:
    media: dict[str, Any] = {"voice": True} if voice else {}
    guessed = mimetypes.guess_type(file)[0]
    if file.startswith(("http://", "https://")):
        media["url"] = file
    else:
        try:
            media["data"] = b64encode(Path(file).read_bytes()).decode()
        except OSError as error:
            raise CliError("invalid", f"--file: {error.strerror}: {file}", exit_code=2) from None
        media |= {"fileName": Path(file).name, "mimeType": guessed or "application/octet-stream"}
    kind = (guessed or "").split("/")[0]
    return {"type": as_ or (kind if kind in ("image", "audio", "video") else "document"), "media": media}


def _place(text: str) -> dict[str, float]:
    try:
        latitude, longitude = (float(each) for each in text.split(","))
    except ValueError:
        raise CliError("invalid", "--location: two numbers with a comma, such as 48.8584,2.2945", exit_code=2) from None
    return {"latitude": latitude, "longitude": longitude}


@app.command()
def status(
    session: Session,
    text: Annotated[str | None, typer.Option(help="A text, or the caption of a picture or a video.")] = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="FILE|URL", help="A picture, video or voice message of this machine, or its address."),
    ] = None,
    as_: Annotated[StatusFile | None, typer.Option("--as", help="What the file is; else what its name says.")] = None,
    background: Annotated[
        str | None, typer.Option(metavar="#RRGGBB", help="The colour behind a text or a voice message.")
    ] = None,
    font: Annotated[int | None, typer.Option(help="0, 1, 2, or 6 to 10.")] = None,
    key: Annotated[str | None, typer.Option(help="The Idempotency-Key: the same key never posts twice.")] = None,
    json: show.Json = False,
) -> None:
    """Post a status, which contacts see for 24 hours."""
    with show.errors(json):
        if file is None and text is None:
            raise CliError("invalid", "--text or --file is needed", exit_code=2)
        body: dict[str, Any] = {"type": "text"} if file is None else _file(file, as_, voice=False)
        body |= {"text": text, "backgroundColor": background, "font": font}
        _send(session, body, key, path="status", json_wanted=json)


@app.command()
def react(
    session: Session,
    chat: Chat,
    message: Message,
    emoji: Annotated[str, typer.Argument(help="The reaction; an empty text takes it back.")],
    json: show.Json = False,
) -> None:
    """React to a message."""
    with show.errors(json):
        _send(session, {"to": chat, "type": "reaction", "reactionTo": message, "text": emoji}, None, json_wanted=json)


def _send(session: str, body: dict[str, Any], key: str | None, *, json_wanted: bool, path: str = "messages") -> None:
    wanted = {name: value for name, value in body.items() if value is not None}
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    made = settings.bot().post(at(session, path), wanted, **headers)
    show.done(f"Message {made['id']} is {made['state']}.", made, json_wanted=json_wanted)


@app.command("show")
def show_message(session: Session, message: Message, json: show.Json = False) -> None:
    """Show one message with its state."""
    with show.errors(json):
        value = settings.bot().get(at(session, "messages", message))
        show.done(show.fields(value), value, json_wanted=json)


@app.command()
def edit(
    session: Session,
    message: Message,
    text: Annotated[str, typer.Argument(help="The new text, or the new caption of a file.")],
    json: show.Json = False,
) -> None:
    """Change the text of a sent message."""
    with show.errors(json):
        value = settings.bot().put(at(session, "messages", message), {"text": text})
        show.done(f"The change is message {value['id']}, {value['state']}.", value, json_wanted=json)


@app.command()
def revoke(session: Session, message: Message, yes: Yes = False, json: show.Json = False) -> None:
    """Delete a sent message for everyone."""
    if not yes and not json:
        typer.confirm(f"Delete {message} for everyone?", abort=True)
    with show.errors(json):
        value = settings.bot().delete(at(session, "messages", message))
        show.done(f"The deletion is message {value['id']}, {value['state']}.", value, json_wanted=json)


@app.command()
def forward(session: Session, message: Message, to: Chat, json: show.Json = False) -> None:
    """Forward a message to another chat."""
    with show.errors(json):
        value = settings.bot().post(at(session, "messages", message, "forward"), {"to": to})
        show.done(f"Message {value['id']} is {value['state']}.", value, json_wanted=json)


@app.command()
def star(
    session: Session,
    message: Message,
    off: Annotated[bool, typer.Option("--off", help="Take the star away.")] = False,
    json: show.Json = False,
) -> None:
    """Star a message, on all devices of the account."""
    with show.errors(json):
        path, bot = at(session, "messages", message, "star"), settings.bot()
        bot.delete(path) if off else bot.put(path)
        show.done(
            f"{message} has {'no star' if off else 'a star'}.", {"id": message, "starred": not off}, json_wanted=json
        )


@app.command("read")
def mark_read(
    session: Session,
    chat: Chat,
    messages: Annotated[list[str], typer.Argument(metavar="MESSAGE...", help="Ids of received messages.")],
    sender: Annotated[str | None, typer.Option(help="Who wrote them; needed in groups.")] = None,
    json: show.Json = False,
) -> None:
    """Mark messages as read: their sender sees it."""
    with show.errors(json):
        body = {"chat": chat, "messageIds": messages} | ({"sender": sender} if sender else {})
        settings.bot().post(at(session, "read"), body)
        show.done(f"{len(messages)} marked as read.", {"chat": chat, "read": messages}, json_wanted=json)


@app.command()
def typing(
    session: Session,
    chat: Chat,
    state: Annotated[
        Literal["composing", "recording", "paused"], typer.Argument(help="composing, recording or paused.")
    ] = "composing",
    json: show.Json = False,
) -> None:
    """Show "typing…" or "recording…" in a chat."""
    with show.errors(json):
        settings.bot().post(at(session, "typing"), {"chat": chat, "state": state})
        show.done(f"{chat} sees {state}.", {"chat": chat, "state": state}, json_wanted=json)


@app.command()
def download(
    session: Session,
    message: Message,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; else one with the message's id.")] = None,
    json: show.Json = False,
) -> None:
    """Fetch the file of a message."""
    with show.errors(json):
        bot = settings.bot()
        described = bot.get(at(session, "messages", message)).get("media") or {}
        suffix = mimetypes.guess_extension(str(described.get("mimeType", "")).partition(";")[0].strip()) or ""
        target = to or Path(quote(message, safe="") + suffix)
        size = bot.save(at(session, "messages", message, "media"), target)
        show.done(f"{target} has {size} bytes.", {"file": str(target), "size": size}, json_wanted=json)

"""``veilleur sessions …``: manages WhatsApp sessions; draws the QR code in the terminal."""

from __future__ import annotations

import json as encoder
import re
import shutil
import sys
import time
import uuid
from typing import Annotated, Any

import typer

from shared.tools.cli import qr as qr_code
from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Session, Yes, at
from shared.tools.cli.client import Client, CliError
from shared.visible import shown, shown_json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@app.command("list")
def list_sessions(
    state: Annotated[str | None, typer.Option(help="Only sessions in this state.")] = None,
    search: Annotated[str | None, typer.Option(help="Only sessions with this text in name or id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The most that are shown.")] = 100,
    json: show.Json = False,
) -> None:
    """List sessions with state, reason and last activity."""
    with show.errors(json):
        value = settings.bot().get("/api/sessions", state=state and state.upper(), q=search, limit=limit)
        if json:
            show.as_json(value)
            return
        rows = [
            (each["id"], each["name"], show.coloured(each["state"]), each["reason"],
             show.ago(each["lastActivityAt"]), each["owner"])
            for each in value["sessions"]
        ]  # fmt: skip
        show.table(
            ("Session", "Name", "State", "Reason", "Last activity", "Owner"),
            rows,
            empty="There are no sessions. Create one with: veilleur sessions create NAME",
        )
        if value["total"] > len(rows):
            show.console().print(f"{len(rows)} of {value['total']} are shown.", style="dim")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for people.")],
    session_id: Annotated[str | None, typer.Option("--id", help="The id; the name itself when it can be one.")] = None,
    owner: Annotated[str | None, typer.Option(help="The owner of the session.")] = None,
    start: Annotated[bool, typer.Option(help="Start it; without, it can get a proxy first.")] = True,
    json: show.Json = False,
) -> None:
    """Create a session and start it."""
    usable = name if _ID.fullmatch(name) else None
    body = {"name": name, "id": session_id or usable, "owner": owner, "start": start}
    with show.errors(json):
        made = settings.bot().post("/api/sessions", {key: value for key, value in body.items() if value is not None})
        todo = "Pair a phone with: veilleur sessions qr" if start else "Start it with: veilleur sessions start"
        show.done(f"Session {made['id']} is created. {todo} {made['id']}", made, json_wanted=json)


@app.command()
def qr(
    session: Session,
    wait: Annotated[bool, typer.Option(help="Draw new codes until the phone has scanned one.")] = True,
    timeout: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="Give up after this time.")] = 300,
    json: show.Json = False,
) -> None:
    """Draw the QR code in the terminal, renew it, and end when the phone has scanned it."""
    with show.errors(json):
        bot = settings.bot()
        if json and not wait:
            show.as_json(bot.get(at(session, "qr"), format="json"))
            return
        state = _pair_by_qr(bot, session, draw=not json, wait=wait, until=time.monotonic() + timeout)
        if wait:
            show.done(f"{session} is linked; it is {state} now.", {"id": session, "state": state}, json_wanted=json)


def _pair_by_qr(bot: Client, session: str, *, draw: bool, wait: bool, until: float) -> str:
    drawn = said = ""
    while True:
        now = bot.get(at(session))
        state = str(now["state"])
        if now["paired"]:
            return state
        answer = bot.request("GET", at(session, "qr"), query={"format": "text"})
        if answer.status == 200 and answer.value != drawn:
            drawn = answer.value
            if draw:
                print(f"\n{_picture(drawn)}\nWhatsApp > Settings > Linked devices > Link a device", flush=True)
        elif answer.status != 200 and draw and (why := _no_code(now)) != said:
            said = why
            typer.echo(why, err=True)
        if not wait and drawn:
            return state
        if time.monotonic() > until:
            raise CliError("timeout", f"no phone has scanned in time; {session} is {state}")
        time.sleep(1.0)


def _picture(code: str) -> str:
    """For a terminal in its size; in a pipe as it is."""
    return qr_code.drawn(code, shutil.get_terminal_size().lines - 2) if sys.stdout.isatty() else shown(code, keep="\n")


def _no_code(session: dict[str, Any]) -> str:
    """Why there is no code to scan now, in one line; it changes only when the session does."""
    if session["state"] in ("STARTING", "CONNECTING", "PAIRING"):
        return "waiting for the QR code …"
    parts = [session["state"], session["reason"].replace("_", " "), session.get("detail")]
    if session.get("attempt"):
        parts.append(f"attempt {session['attempt']}")
    if session.get("nextTryAt"):
        parts.append(f"next try at {session['nextTryAt']}")
    todo = "" if session["wanted"] == "run" else f". Start it: veilleur sessions start {session['id']}"
    return shown("no QR code: " + ", ".join(str(part) for part in parts if part) + todo)


@app.command()
def pair(
    session: Session,
    phone: Annotated[str, typer.Argument(help="The telephone number in international form.")],
    json: show.Json = False,
) -> None:
    """Get a pairing code to type on the phone, instead of a QR code."""
    with show.errors(json):
        made = settings.bot().post(at(session, "pairing-code"), {"phone": phone})
        todo = "Type it on the phone: WhatsApp > Linked devices > Link with phone number instead"
        show.done([made["code"], todo], made, json_wanted=json)


@app.command()
def send(
    session: Session,
    to: Annotated[str, typer.Argument(help="A telephone number or a JID.")],
    text: Annotated[str, typer.Argument(help="What to say.")],
    json: show.Json = False,
) -> None:
    """Send a text."""
    body = {"to": to, "type": "text", "text": text}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    with show.errors(json):
        made = settings.bot().post(at(session, "messages"), body, **headers)
        show.done(f"Message {made['id']} is {made['state']}.", made, json_wanted=json)


def _command(verb: str, past: str, about: str) -> None:
    def run(session: Session, json: show.Json = False) -> None:
        with show.errors(json):
            value = settings.bot().post(at(session, verb))
            show.done(f"{session} {past}.", value, json_wanted=json)

    run.__doc__ = about
    app.command(verb)(run)


_command("start", "starts", "Start a session; nothing happens when it runs.")
_command("stop", "is stopped; its pairing is kept", "Stop a session; the phone stays paired.")
_command("restart", "restarts", "Stop and start a session.")
_command("logout", "is logged out; pair it again to use it", "Unlink the phone and keep the session.")


@app.command()
def delete(
    session: Session,
    yes: Yes = False,
    json: show.Json = False,
) -> None:
    """Delete a session with its pairing, messages and files."""
    if not yes and not json:
        typer.confirm(f"Delete {session} with its pairing and messages?", abort=True)
    with show.errors(json):
        settings.bot().delete(at(session))
        show.done(f"{session} is deleted.", {"id": session, "deleted": True}, json_wanted=json)


@app.command()
def watch(
    session: Annotated[str | None, typer.Argument(metavar="SESSION", help="Only this one.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after this many events.")] = None,
    json: show.Json = False,
) -> None:
    """Show events as they happen, until Ctrl-C."""
    seen = 0
    with show.errors(json):
        for name, value in settings.bot().events("/api/events"):
            if not isinstance(value, dict) or (session is not None and value.get("session") != session):
                continue
            if json:
                print(shown_json(encoder.dumps(value, ensure_ascii=False)), flush=True)
            else:
                show.console().print(_sentence(name, value))
            seen += 1
            if seen == count:
                return


def _sentence(name: str, value: dict[str, Any]) -> str:
    data = value.get("data") or {}
    if name.startswith("group."):
        what = show.plain(
            " ".join(str(part) for part in (data["group"], data.get("action"), *data.get("members", ())) if part)
        )
    elif name == "call.received":
        what = show.plain(f"{data['id']} from {data['from']}")
    else:
        what = show.coloured(str(data["state"])) if "state" in data else show.plain(data.get("reason", ""))
    at, session = show.plain(str(value.get("timestamp", ""))[11:19]), show.plain(value.get("session") or "–")
    return f"[dim]{at}[/]  {session}  {show.plain(name)}  {what}"

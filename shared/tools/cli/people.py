"""``veilleur contacts …``, ``profile …`` and ``calls …``: people, and what they see of the account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Limit, Person, Session, at, given, jpeg, part

contacts = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
profile = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
calls = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@contacts.command("list")
def list_contacts(
    session: Session,
    search: Annotated[str | None, typer.Option(help="Only with this in a name or the address.")] = None,
    after: Annotated[str | None, typer.Option(help="Only the next ones: what the last page ended with.")] = None,
    limit: Limit = 100,
    json: show.Json = False,
) -> None:
    """List the contacts of an account."""
    with show.errors(json):
        value = settings.bot().get(at(session, "contacts"), search=search, after=after, limit=limit)
        rows = [
            (
                each["jid"],
                each.get("name") or each.get("pushName") or each.get("businessName") or "",
                each.get("lid", ""),
            )
            for each in value["contacts"]
        ]
        columns = ("Contact", "Name", "LID")
        show.listing(value, columns, rows, empty="No such contact.", json_wanted=json, following="--after")


@contacts.command("show")
def show_contact(session: Session, person: Person, json: show.Json = False) -> None:
    """Show what WhatsApp knows of a person."""
    with show.errors(json):
        value = settings.bot().get(at(session, "contacts", person))
        show.done(show.fields(value), value, json_wanted=json)


@contacts.command()
def lid(session: Session, person: Person, json: show.Json = False) -> None:
    """Show the number and the hidden address (LID) of a person, from either of them."""
    with show.errors(json):
        value = settings.bot().get(at(session, "lids", person))
        show.done(show.fields(value), value, json_wanted=json)


@contacts.command()
def check(
    session: Session,
    numbers: Annotated[list[str], typer.Argument(metavar="NUMBER...", help="At most 50 telephone numbers.")],
    json: show.Json = False,
) -> None:
    """Check whether numbers have a WhatsApp account."""
    with show.errors(json):
        value = settings.bot().post(at(session, "numbers"), {"numbers": numbers})
        rows = [
            (each["number"], "yes" if each["exists"] else "no", each.get("jid", ""), each.get("lid", ""))
            for each in value["numbers"]
        ]
        show.listing(value, ("Number", "Account", "JID", "LID"), rows, empty="", json_wanted=json)


@contacts.command()
def follow(session: Session, person: Person, json: show.Json = False) -> None:
    """Get presence.update events of a person until the session's connection ends."""
    with show.errors(json):
        settings.bot().post(at(session, "presence", "follow"), {"chat": person})
        sentence = f"Watch the presence of {person} with: veilleur sessions watch {session} --json"
        show.done(sentence, {"chat": person, "followed": True}, json_wanted=json)


@contacts.command()
def blocked(session: Session, json: show.Json = False) -> None:
    """List blocked contacts."""
    with show.errors(json):
        value = settings.bot().get(at(session, "blocklist"))
        show.done(value["blocked"] or "No contact is blocked.", value, json_wanted=json)


@contacts.command()
def block(session: Session, person: Person, json: show.Json = False) -> None:
    """Block a contact: messages and calls do not arrive any more."""
    with show.errors(json):
        value = settings.bot().put(at(session, "blocklist", person))
        show.done(f"{person} is blocked.", value, json_wanted=json)


@contacts.command()
def unblock(session: Session, person: Person, json: show.Json = False) -> None:
    """Unblock a contact."""
    with show.errors(json):
        value = settings.bot().delete(at(session, "blocklist", person))
        show.done(f"{person} is not blocked.", value, json_wanted=json)


@profile.command("show")
def show_profile(session: Session, json: show.Json = False) -> None:
    """Show the profile of the account."""
    with show.errors(json):
        value = settings.bot().get(at(session, "profile"))
        show.done(show.fields(value), value, json_wanted=json)


@profile.command("set")
def set_profile(
    session: Session,
    name: Annotated[str | None, typer.Option(help="What others see.")] = None,
    about: Annotated[str | None, typer.Option(help="The text of the profile.")] = None,
    json: show.Json = False,
) -> None:
    """Change the name or the text of the profile."""
    with show.errors(json):
        changes = given("--name or --about", name=name, about=about)
        value = settings.bot().patch(at(session, "profile"), changes)
        show.done("The profile is changed.", value, json_wanted=json)


@profile.command()
def picture(
    session: Session,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A JPEG of at most 1 MB, best a square.")
    ],
    json: show.Json = False,
) -> None:
    """Set the picture of the account."""
    with show.errors(json):
        value = settings.bot().put(at(session, "profile", "picture"), {"data": jpeg(file)})
        show.done("The picture is set.", value, json_wanted=json)


@profile.command()
def presence(
    session: Session,
    state: Annotated[Literal["available", "unavailable"], typer.Argument(help="available or unavailable.")],
    json: show.Json = False,
) -> None:
    """Let contacts see the account as online, or not."""
    with show.errors(json):
        settings.bot().put(at(session, "presence"), {"state": state})
        show.done(f"{session} is {state}.", {"id": session, "state": state}, json_wanted=json)


@calls.command()
def reject(
    session: Session,
    call: Annotated[str, part("CALL", "The id of the call.")],
    caller: Annotated[str, typer.Argument(metavar="CALLER", help="Who calls: a telephone number or a JID.")],
    json: show.Json = False,
) -> None:
    """Reject a call that rings; `veilleur sessions watch` shows its id and caller."""
    with show.errors(json):
        settings.bot().post(at(session, "calls", call, "reject"), {"from": caller})
        show.done(f"Call {call} is rejected.", {"id": call, "rejected": True}, json_wanted=json)

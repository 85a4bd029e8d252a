"""``veilleur contacts …`` and ``veilleur profile …``: people, and what they see of the account."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.chats import Limit, Session, at

contacts = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
profile = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Person = Annotated[str, typer.Argument(metavar="PERSON", help="A telephone number or a JID.")]


@contacts.command("list")
def list_contacts(
    session: Session,
    search: Annotated[str | None, typer.Option(help="Only with this in a name or the address.")] = None,
    limit: Limit = 100,
    json: show.Json = False,
) -> None:
    """List the contacts of an account."""
    with show.errors(json):
        value = settings.bot().get(at(session, "contacts"), search=search, limit=limit)
        if json:
            show.as_json(value)
            return
        rows = [
            (
                each["jid"],
                each.get("name") or each.get("pushName") or each.get("businessName") or "",
                each.get("lid", ""),
            )
            for each in value["contacts"]
        ]
        show.table(("Contact", "Name", "LID"), rows, empty="No such contact.")


@contacts.command("show")
def show_contact(session: Session, person: Person, json: show.Json = False) -> None:
    """Show what WhatsApp knows of a person."""
    with show.errors(json):
        value = settings.bot().get(at(session, "contacts", person))
        sentence = "\n".join(f"{name:13} {text}" for name, text in value.items())
        show.done(sentence, value, json_wanted=json)


@contacts.command()
def blocked(session: Session, json: show.Json = False) -> None:
    """List blocked contacts."""
    with show.errors(json):
        value = settings.bot().get(at(session, "blocklist"))
        show.done("\n".join(value["blocked"]) or "No contact is blocked.", value, json_wanted=json)


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
        sentence = "\n".join(f"{name:13} {text or '–'}" for name, text in value.items())
        show.done(sentence, value, json_wanted=json)


@profile.command("set")
def set_profile(
    session: Session,
    name: Annotated[str | None, typer.Option(help="What others see.")] = None,
    about: Annotated[str | None, typer.Option(help="The text of the profile.")] = None,
    json: show.Json = False,
) -> None:
    """Change the name or the text of the profile."""
    given = {key: value for key, value in (("name", name), ("about", about)) if value is not None}
    with show.errors(json):
        value = settings.bot().patch(at(session, "profile"), given)
        show.done("The profile is changed.", value, json_wanted=json)


@profile.command()
def presence(
    session: Session,
    state: Annotated[str, typer.Argument(help="available or unavailable.")],
    json: show.Json = False,
) -> None:
    """Let contacts see the account as online, or not."""
    with show.errors(json):
        settings.bot().put(at(session, "presence"), {"state": state})
        show.done(f"{session} is {state}.", {"id": session, "state": state}, json_wanted=json)

"""``veilleur groups …``: groups of an account, their members, invitation links and requests to join."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Group, Members, Session, Yes, at, given, jpeg, part

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
members = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
requests = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
invite = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(members, name="members", help="Members: list, add, remove, promote, demote.")
app.add_typer(requests, name="requests", help="Requests to join: list, approve, reject.")
app.add_typer(invite, name="invite", help="The invitation link: show, reset.")

Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="The name of the group.")]


@app.command("list")
def list_groups(session: Session, json: show.Json = False) -> None:
    """List the groups that the account belongs to."""
    with show.errors(json):
        value = settings.bot().get(at(session, "groups"))
        rows = [
            (each["id"], each["subject"], str(len(each["members"])), "administrators" if each["announce"] else "all")
            for each in value["groups"]
        ]
        columns = ("Group", "Subject", "Members", "Who writes")
        show.listing(value, columns, rows, empty="The account belongs to no group.", json_wanted=json)


@app.command("show")
def show_group(session: Session, group: Group, json: show.Json = False) -> None:
    """Show a group with its settings."""
    with show.errors(json):
        value = settings.bot().get(at(session, "groups", group))
        show.done(_fields(value), value, json_wanted=json)


@app.command()
def create(session: Session, subject: Subject, added: Members, json: show.Json = False) -> None:
    """Create a group; the account becomes its administrator."""
    with show.errors(json):
        made = settings.bot().post(at(session, "groups"), {"subject": subject, "members": added})
        refused = [f"{each['jid']} was not added: {_refusal(each)}." for each in made["members"] if each.get("error")]
        show.done([f"Group {made['id']} is created.", *refused], made, json_wanted=json)


@app.command()
def change(
    session: Session,
    group: Group,
    subject: Annotated[str | None, typer.Option(help="The name of the group.")] = None,
    description: Annotated[str | None, typer.Option(help="The description, empty for none.")] = None,
    announce: Annotated[
        bool | None, typer.Option("--announce/--no-announce", help="Only administrators write.")
    ] = None,
    locked: Annotated[
        bool | None, typer.Option("--locked/--no-locked", help="Only administrators change the group.")
    ] = None,
    json: show.Json = False,
) -> None:
    """Change a group; what is not given stays."""
    options = "--subject, --description, --announce, --no-announce, --locked or --no-locked"
    with show.errors(json):
        changes = given(options, subject=subject, description=description, announce=announce, locked=locked)
        value = settings.bot().patch(at(session, "groups", group), changes)
        show.done(_fields(value), value, json_wanted=json)


@app.command()
def picture(
    session: Session,
    group: Group,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A JPEG of at most 1 MB, best a square.")
    ],
    json: show.Json = False,
) -> None:
    """Set the picture of a group."""
    with show.errors(json):
        value = settings.bot().put(at(session, "groups", group, "picture"), {"data": jpeg(file)})
        show.done("The picture is set.", value, json_wanted=json)


@app.command()
def invited(
    session: Session,
    code: Annotated[str, part("CODE", "The code at the end of an invitation link.")],
    json: show.Json = False,
) -> None:
    """Show the group of an invitation, before it is joined."""
    with show.errors(json):
        value = settings.bot().get(at(session, "invitations", code))
        show.done(_fields(value), value, json_wanted=json)


@app.command()
def leave(session: Session, group: Group, yes: Yes = False, json: show.Json = False) -> None:
    """Leave a group; it stays for the others."""
    if not yes and not json:
        typer.confirm(f"Leave {group}?", abort=True)
    with show.errors(json):
        settings.bot().delete(at(session, "groups", group))
        show.done(f"{session} has left {group}.", {"group": group, "left": True}, json_wanted=json)


@app.command()
def join(
    session: Session,
    link: Annotated[str, typer.Argument(metavar="LINK", help="An invitation link, or the code at its end.")],
    json: show.Json = False,
) -> None:
    """Join a group by its invitation link."""
    with show.errors(json):
        value = settings.bot().post(at(session, "groups", "join"), {"code": link})
        show.done(f"{session} belongs to {value['group']}.", value, json_wanted=json)


@members.command("list")
def list_members(session: Session, group: Group, json: show.Json = False) -> None:
    """List the members of a group."""
    with show.errors(json):
        found = settings.bot().get(at(session, "groups", group))["members"]
        rows = [(each["jid"], "administrator" if each.get("admin") else "member") for each in found]
        show.listing({"members": found}, ("Member", "Role"), rows, empty="It has no members.", json_wanted=json)


@requests.command("list")
def list_requests(session: Session, group: Group, json: show.Json = False) -> None:
    """List who asks to join, where administrators approve new members."""
    with show.errors(json):
        value = settings.bot().get(at(session, "groups", group, "requests"))
        rows = [(each["jid"], show.ago(each["at"])) for each in value["requests"]]
        show.listing(value, ("Person", "Asked"), rows, empty="No one asks to join.", json_wanted=json)


def _for_each(to: typer.Typer, of: str, action: str, past: str, about: str) -> None:
    def run(session: Session, group: Group, people: Members, json: show.Json = False) -> None:
        with show.errors(json):
            value = settings.bot().post(at(session, "groups", group, of), {"action": action, "members": people})
            rows = [(each["jid"], _refusal(each) if each.get("error") else past) for each in value["members"]]
            show.listing(value, ("Member", "Result"), rows, empty="Nothing changed.", json_wanted=json)
            if any(each.get("error") for each in value["members"]):
                raise typer.Exit(1)

    run.__doc__ = f"{about}; exit code 1 when WhatsApp refuses one."
    to.command(action)(run)


_for_each(members, "members", "add", "added", "Add members")
_for_each(members, "members", "remove", "removed", "Remove members")
_for_each(members, "members", "promote", "is an administrator", "Make members administrators")
_for_each(members, "members", "demote", "is no administrator", "Make administrators plain members")
_for_each(requests, "requests", "approve", "approved", "Let people in who asked")
_for_each(requests, "requests", "reject", "rejected", "Refuse people who asked")


@invite.command("show")
def show_invite(session: Session, group: Group, json: show.Json = False) -> None:
    """Show the invitation link; whoever has it can join."""
    with show.errors(json):
        value = settings.bot().get(at(session, "groups", group, "invite"))
        show.done(value["link"], value, json_wanted=json)


@invite.command("reset")
def reset_invite(session: Session, group: Group, json: show.Json = False) -> None:
    """Make a new invitation link; the old one becomes invalid."""
    with show.errors(json):
        value = settings.bot().delete(at(session, "groups", group, "invite"))
        show.done(value["link"], value, json_wanted=json)


def _fields(group: dict[str, Any]) -> list[str]:
    return show.fields({**group, "members": len(group["members"])})


def _refusal(member: dict[str, Any]) -> str:
    return f"refused (error {member['error']})"

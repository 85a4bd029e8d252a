"""Arguments and paths that the commands about a session share."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.clock import iso, parse_iso
from shared.settings import Kind, duration
from shared.tools.cli import show
from shared.tools.cli.client import CliError

LONGEST_PICTURE_BYTES = 1024 * 1024
_AGE = duration(1000, 366 * 86_400_000)


def _part_of_path(text: str) -> str:
    # A proxy in front of the bot may resolve such a part, and the request would go to another path.
    if text in ("", ".", ".."):
        raise typer.BadParameter("must not be empty, '.' or '..'.")
    return text


def part(metavar: str, about: str) -> Any:
    """An argument that becomes a part of a path."""
    return typer.Argument(metavar=metavar, help=about, callback=_part_of_path)


Session = Annotated[str, part("SESSION", "The session's id.")]
Person = Annotated[str, part("PERSON", "A telephone number or a JID.")]
Group = Annotated[str, part("GROUP", "The group's id, such as 120363041234567890@g.us.")]
Members = Annotated[list[str], typer.Argument(metavar="MEMBER...", help="Telephone numbers or JIDs.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="The most that are shown.")]
Before = Annotated[int | None, typer.Option(min=0, help="Only older ones: the number that the last page ended with.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def jpeg(file: Path) -> str:
    """A picture as the API takes it. Raises :class:`CliError`."""
    with file.open("rb") as opened:
        content = opened.read(LONGEST_PICTURE_BYTES + 1)
    if len(content) > LONGEST_PICTURE_BYTES:
        raise CliError("invalid", "FILE: must be a JPEG of at most 1 MB", exit_code=2)
    return b64encode(content).decode()


def milliseconds(name: str, text: str, accepted: Kind) -> int:
    """The duration ``text`` of the option ``name``. Raises :class:`CliError` that says what is accepted."""
    try:
        return int(accepted.parse(text))
    except (ValueError, KeyError):
        raise CliError("invalid", f"{name}: {text!r} is not {accepted.accepts}", exit_code=2) from None


def moment(name: str, text: str | None, *, ahead: bool = False) -> str | None:
    """The ISO time ``text`` of the option ``name``: a time, or how long ago; with ``ahead``, in how long.

    Raises :class:`CliError` that says what is accepted.
    """
    if text is None:
        return None
    try:
        return iso(parse_iso(text))
    except ValueError:
        pass
    try:
        return show.time_before(_AGE.parse(text) * (-1 if ahead else 1))
    except ValueError:
        raise CliError("invalid", f"{name}: use a time such as 2026-11-23T09:16:02Z, or 2h", exit_code=2) from None


def at(session: str, *more: str) -> str:
    """The path of a session, or of something of it, in the API."""
    return "/".join(["/api/sessions", *(quote(each, safe="") for each in (session, *more))])


def given(options: str, **values: str | bool | None) -> dict[str, str | bool]:
    """What a change is asked to change. Raises :class:`CliError` that names ``options`` when it is nothing."""
    found = {name: value for name, value in values.items() if value is not None}
    if not found:
        raise CliError("invalid", f"{options} is needed", exit_code=2)
    return found

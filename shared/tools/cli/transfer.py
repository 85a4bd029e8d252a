"""``veilleur sessions export``, ``import`` and ``take-back``: a number moves to another machine without a new QR code."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from shared.tools.cli import secret_input, settings, show
from shared.tools.cli.arguments import Session, Yes, at
from shared.tools.cli.client import CliError

# A client that does not stop is waited for, and its worker replaced.
EXPORT_S, IMPORT_S = 120.0, 60.0
LONGEST_FILE = 23 * 1024 * 1024
PassphraseFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="File that holds the passphrase; - for standard input. Without, it is asked for."
    ),
]


def export(
    session: Session,
    to: Annotated[
        str | None, typer.Option(metavar="FILE", help="The file to write; SESSION.pairing by default.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    json: show.Json = False,
) -> None:
    """Stop a session for good and write its pairing to a file, for another machine to import."""
    with show.errors(json):
        path = Path(to or f"{session}.pairing").absolute()
        passphrase = secret_input.read("--passphrase-file", passphrase_file, prompt="Passphrase", twice=True)
        # The file first: a folder that cannot be written must not cost a session its connection.
        with _new_file(path) as file:
            made = settings.bot().post_within(EXPORT_S, at(session, "export"), {"passphrase": passphrase})
            file.write(base64.b64decode(made["file"]))
        lines = [
            f"{path} holds the pairing of {session}, encrypted. The session is stopped here for good.",
            f"On the other machine: veilleur sessions import {path.name}",
        ]
        show.done(lines, {"id": session, "file": str(path)}, json_wanted=json)


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `veilleur sessions export` wrote.")],
    session_id: Annotated[
        str | None, typer.Option("--id", help="The id of the session here; that in the file.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="The owner here; that in the file.")] = None,
    start: Annotated[bool, typer.Option(help="Connect at once.")] = True,
    webhooks: Annotated[bool, typer.Option(help="Take the webhooks of the session along.")] = True,
    passphrase_file: PassphraseFile = None,
    json: show.Json = False,
) -> None:
    """Make a session with an exported pairing and start it, without a new QR code."""
    with show.errors(json):
        body = {
            "file": base64.b64encode(_read(Path(file))).decode(),
            "passphrase": secret_input.read("--passphrase-file", passphrase_file, prompt="Passphrase"),
            "id": session_id,
            "owner": owner,
            "start": start,
            "webhooks": webhooks,
        }
        given = {name: value for name, value in body.items() if value is not None}
        made = settings.bot().post_within(IMPORT_S, "/api/sessions/import", given)
        todo = "It connects now." if made["wanted"] == "run" else f"Start it: veilleur sessions start {made['id']}"
        show.done(f"Session {made['id']} is imported. {todo} Delete {file}.", made, json_wanted=json)


def take_back(session: Session, yes: Yes = False, json: show.Json = False) -> None:
    """Use an exported pairing here again; only when it runs nowhere else."""
    if not yes and not json:
        typer.confirm(
            f"Two that log in with one pairing disconnect each other. {session} runs nowhere else?", abort=True
        )
    with show.errors(json):
        value = settings.bot().post_within(EXPORT_S, at(session, "take-back"))
        show.done(f"{session} is back. Start it: veilleur sessions start {session}", value, json_wanted=json)


def add_to(app: typer.Typer) -> None:
    app.command("export")(export)
    app.command("import")(import_)
    app.command("take-back")(take_back)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file for this user only, which has its name when it is whole. Raises :class:`CliError`."""
    if path.exists():
        raise CliError("exists", f"--to: {path} exists; a pairing is never overwritten", exit_code=2)
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a run that was killed
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise CliError("invalid", f"--to: {path} cannot be written: {error.strerror}", exit_code=2) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise CliError("invalid", f"FILE: {path} cannot be read: {error.strerror}", exit_code=2) from None
    if len(found) > LONGEST_FILE:
        raise CliError("too_large", f"FILE: {path} has more than {LONGEST_FILE // 2**20} MB", exit_code=2)
    return found

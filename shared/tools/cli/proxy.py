"""``veilleur proxy …``: a session's own proxy. Its password comes from a file or standard input only."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from shared.tools.cli import secret_input, settings, show
from shared.tools.cli.arguments import Session, at
from shared.tools.cli.client import CliError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
def show_proxy(session: Session, json: show.Json = False) -> None:
    """Show the proxy of a session, without user and password."""
    with show.errors(json):
        found = settings.bot().get(at(session))["proxy"]
        sentence = found or f"{session} has no proxy of its own: it uses that of the settings, if there is one."
        show.done(sentence, {"id": session, "proxy": found}, json_wanted=json)


@app.command("set")
def set_proxy(
    session: Session,
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", help="http://, https:// or socks5:// with host and port; a user stands before an @."
        ),
    ],
    password_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="File that holds the password; - for standard input.")
    ] = None,
    json: show.Json = False,
) -> None:
    """Give a session a proxy of its own, which it uses from its next start."""
    with show.errors(json):
        _patch(session, with_password(address, password_file), json_wanted=json)


@app.command()
def clear(session: Session, json: show.Json = False) -> None:
    """Remove the proxy of a session; that of the settings counts from its next start."""
    with show.errors(json):
        _patch(session, None, json_wanted=json)


def _patch(session: str, proxy: str | None, *, json_wanted: bool) -> None:
    value = settings.bot().patch(at(session), {"proxy": proxy})
    now = f"{session} has the proxy {value['proxy']}" if value["proxy"] else f"{session} has no proxy of its own"
    show.done(f"{now} from its next start: veilleur sessions restart {session}", value, json_wanted=json_wanted)


def with_password(address: str, password_file: str | None) -> str:
    """``address`` with the password in the file, ``-`` for standard input. No error quotes either of them."""
    before, scheme_end, rest = address.rpartition("://")
    user, _, host = rest.rpartition("@")
    if ":" in user:
        detail = (
            "ADDRESS: must hold no password, which other programs could read; use --password-file, - for standard input"
        )
        raise CliError("invalid", detail, exit_code=2)
    if password_file is None:
        return address
    if not user:
        detail = "ADDRESS: must name a user when there is a password, for example socks5://user@proxy.example.com:1080"
        raise CliError("invalid", detail, exit_code=2)
    password = secret_input.read("--password-file", password_file, prompt="Password")
    return f"{before}{scheme_end}{user}:{quote(password, safe='')}@{host}"

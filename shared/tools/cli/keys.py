"""``veilleur keys …``: API keys of owners."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shared.settings import duration
from shared.tools.cli import settings, show
from shared.tools.cli.arguments import Yes, milliseconds, part

LIFETIME = duration(1000, 315_360_000_000)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_keys(json: show.Json = False) -> None:
    """List keys, revoked ones too; never the keys themselves."""
    with show.errors(json):
        value = settings.bot().get("/api/keys")
        rows = [
            (
                each["id"],
                each["name"],
                each["owner"],
                " ".join(each["scopes"]),
                show.ago(each["lastUsedAt"]),
                _state(each),
            )
            for each in value["keys"]
        ]
        columns = ("Key", "Name", "Owner", "Scopes", "Last used", "State")
        show.listing(value, columns, rows, empty="There are no keys but that of the administrator.", json_wanted=json)


def _state(key: dict[str, str | None]) -> str:
    if key["revokedAt"]:
        return show.Markup("[red]revoked[/]")
    return f"until {key['expiresAt']}" if key["expiresAt"] else "valid"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for people.")],
    owner: Annotated[str, typer.Option(help="The owner of the sessions that it may see and use.")],
    scopes: Annotated[
        str, typer.Option(help="What it may do: admin, session, read, send; with commas.")
    ] = "session,read,send",
    expires_in: Annotated[str | None, typer.Option(help="How long it is valid: 12h, 90d; without, for ever.")] = None,
    json: show.Json = False,
) -> None:
    """Create a key; it is shown once and never again."""
    with show.errors(json):
        body: dict[str, Any] = {"name": name, "owner": owner, "scopes": [each.strip() for each in scopes.split(",")]}
        if expires_in is not None:
            body["expiresIn"] = milliseconds("--expires-in", expires_in, LIFETIME)
        made = settings.bot().post("/api/keys", body)
        again = f"It is shown now and never again. Revoke it with: veilleur keys revoke {made['id']}"
        show.done([made["key"], again], made, json_wanted=json)


@app.command()
def revoke(key: Annotated[str, part("KEY", "The key's id.")], yes: Yes = False, json: show.Json = False) -> None:
    """Revoke a key: it is refused from now on, and what it opened ends."""
    if not yes and not json:
        typer.confirm(f"Revoke {key}? Whoever uses it is locked out at once.", abort=True)
    with show.errors(json):
        settings.bot().delete(f"/api/keys/{key}")
        show.done(f"{key} is revoked.", {"id": key, "revoked": True}, json_wanted=json)

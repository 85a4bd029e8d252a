"""Every command of ``veilleur`` on one page; each file beside this one holds the commands of one subject."""

from __future__ import annotations

import typer

from shared.tools.cli import check, doctor, link, sessions, watching

app = typer.Typer(
    name="veilleur",
    help="Look at, use and repair Veilleur's two programs. Addresses and keys come from the environment, from .env "
    "or from the secrets made at first start.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(sessions.app, name="sessions", help="WhatsApp sessions: list, create, pair, send, stop, delete, watch.")
app.command("status")(watching.status)
app.command("incidents")(watching.incidents)
app.command("pause")(watching.pause)
app.command("resume")(watching.resume)
app.command("test-alert")(watching.send_test)
app.command("doctor")(doctor.command)
app.command("login-link")(link.command)


@app.command(
    "check",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def check_command(context: typer.Context) -> None:
    """Ping once: one line and an exit code as Nagios plugins give (0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)."""
    raise typer.Exit(check.main(context.args))


def run() -> None:
    """Read the command line and do it."""
    app()

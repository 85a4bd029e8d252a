"""Reads a secret from a file, from standard input or from a person; never from an argument (decision 0144)."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from shared import secret_text
from shared.tools.cli.client import CliError


def read(option: str, file: str | None, *, prompt: str, twice: bool = False) -> str:
    """The secret in ``file``, ``-`` for standard input; None or ``-`` on a terminal asks for it, without showing it.

    ``twice``: a person types it once more. Raises :class:`CliError` that names ``option`` and quotes nothing.
    """
    if file is not None and file != "-":
        try:
            return secret_text.read(Path(file))
        except secret_text.NotASecret as refused:
            raise CliError("invalid", f"{option}: must be {refused}", exit_code=2) from None
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True))
    if file is None:
        raise CliError("invalid", f"{option} is needed without a terminal; - for standard input", exit_code=2)
    try:
        found = sys.stdin.read(secret_text.LONGEST_BYTES).strip()
    except UnicodeDecodeError:
        found = ""
    if not found:
        raise CliError("invalid", f"{option}: standard input must be UTF-8 text, and not empty", exit_code=2)
    return found

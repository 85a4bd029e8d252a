"""Prints results: JSON with ``--json``, else sentences and tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.clock import SystemClock, epoch_ms, from_ms, iso, parse_iso
from shared.tools.cli.client import CliError
from shared.translation import ENGLISH
from shared.visible import shown, shown_json
from shared.web.ui.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_ENDLESS = 100_000
_WORDS = Words("en", ENGLISH)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_COLOURS = {
    "READY": "green", "UP": "green", "ok": "green", "done": "green",
    "STARTING": "blue", "PAIRING": "blue", "CONNECTING": "blue", "SYNCING": "blue", "PAUSED": "blue", "info": "blue",
    "DEGRADED": "yellow", "RECONNECTING": "yellow", "SUSPECT": "yellow", "FLAPPING": "yellow", "BLIND": "yellow", "PARTIAL": "yellow",
    "warning": "yellow", "failing": "yellow", "new": "blue", "paused": "blue",
    "LOGGED_OUT": "red", "BANNED": "red", "TEMP_BANNED": "red", "OUTDATED": "red", "FENCED": "red", "FAILED": "red",
    "DOWN": "red", "failed": "red", "down": "red",
}  # fmt: skip


def console() -> Console:
    from rich.console import Console

    # In a pipe each row of a table is one line, however long.
    return Console(highlight=False, soft_wrap=True, emoji=False, width=None if sys.stdout.isatty() else _ENDLESS)


class Markup(str):
    """A text in the markup of rich, written by this program. Any other text in a table is shown as it is."""


def plain(text: object) -> str:
    """A text of people or of a server, safe inside markup and on a terminal."""
    from rich.markup import escape

    return escape(shown(str(text)))


def coloured(word: str) -> Markup:
    """``word`` in the colour of its meaning."""
    colour = _COLOURS.get(word)
    return Markup(f"[{colour}]{plain(word)}[/]" if colour else plain(word))


def as_json(value: Any) -> None:
    print(shown_json(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """A plain table, or the sentence ``empty``."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not rows:
        out.print(empty)
        return
    made = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text.from_markup(c, emoji=False) if isinstance(c, Markup) else Text(shown(c)) for c in row))
    out.print(made)


def listing(
    value: dict[str, Any],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    empty: str,
    json_wanted: bool,
    following: str | None = None,
) -> None:
    """A page of the API as JSON or a table. ``following`` is the option that takes the page's ``next``."""
    if json_wanted:
        as_json(value)
        return
    more = value["next"] if following else None
    # A search may look at a page without a find, and go on.
    if rows or more is None:
        table(columns, rows, empty=empty)
    if more is not None:
        console().print(shown(f"There is more: add {following} {more}"), style="dim", markup=False)


def fields(value: dict[str, Any]) -> list[str]:
    """One line for each field."""
    width = max(13, *map(len, value)) if value else 13
    return [f"{name:{width}} {_word(each)}" for name, each in value.items()]


def flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    """``value`` without inner documents: their fields are named ``outer.inner``."""
    found: dict[str, Any] = {}
    for name, each in value.items():
        if isinstance(each, dict):
            found |= flat(each, f"{before}{name}.")
        else:
            found[before + name] = ", ".join(map(str, each)) if isinstance(each, list) else each
    return found


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value in (None, "") else str(value)


def done(sentence: str | Sequence[str], value: Any, *, json_wanted: bool) -> None:
    """Print the result of a command: one line, or several. No text in a line makes another one."""
    if json_wanted:
        as_json(value)
    else:
        lines = [sentence] if isinstance(sentence, str) else sentence
        console().print("\n".join(map(shown, lines)), markup=False)


@contextmanager
def errors(json_wanted: bool) -> Iterator[None]:
    """A :class:`CliError` becomes one line or JSON document, and its exit code."""
    try:
        yield
    except CliError as error:
        if json_wanted:
            as_json({"error": {"code": error.code, "detail": error.detail, "status": error.status}})
        else:
            print(shown(f"{error.detail} ({error.code})", keep="\n"), file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def ago(text: str | None) -> str:
    """An ISO time as ``12 s ago``; ``–`` for none."""
    return _WORDS.ago(parse_iso(text), SystemClock().now()) if text else "–"


def span(milliseconds: float | None) -> str:
    """A duration in words; ``–`` for none."""
    return "–" if milliseconds is None else _WORDS.span(milliseconds, parts=1)


def ago_ms(at_ms: int) -> str:
    """Milliseconds since the epoch as ``12 s ago``."""
    return _WORDS.ago(from_ms(at_ms), SystemClock().now())


def span_since(at_ms: int) -> str:
    """The time since ``at_ms`` (ms since the epoch) in words."""
    return span(max(0, epoch_ms(SystemClock()) - at_ms))


def time_before(milliseconds: int) -> str:
    """The ISO time so long ago."""
    return iso(from_ms(epoch_ms(SystemClock()) - milliseconds))


def moment(at_ms: int) -> str:
    """Milliseconds since the epoch as day and time in UTC."""
    return _WORDS.when(from_ms(at_ms))

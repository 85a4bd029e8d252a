"""Sessions that need a person: how the bot gives them to the watchdog, and the words of the notices.

The watchdog's report (``POST /api/keepalive``) says how many alert channels it has; the answer holds
the sessions. The program that has taken over a session's need sends its notices, in these words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.visible import is_hidden

NAMES = 10  # in the text of one notice; the number says how many there are
_LONGEST_NAME = 60


class NeedEntry(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One session. ``need`` is a code of ``Attention.advice``.

    ``voice``: the program that sends the notices, empty before one does. ``over``: it works again,
    and the notice of that is still to be sent.
    """

    session: str
    name: str
    need: str
    since_ms: int
    voice: str = ""
    over: bool = False


class NeedAdvice(msgspec.Struct, frozen=True):
    """``what`` happened, what ``todo``; ``severity`` is ``warning`` or ``critical``."""

    severity: str
    what: str
    todo: str


class Attention(msgspec.Struct, frozen=True, rename="camel"):
    """``revision`` changes with every change. ``page`` is the address of the list of sessions."""

    revision: str
    page: str
    advice: dict[str, NeedAdvice]
    sessions: list[NeedEntry]


class NoticeWords(msgspec.Struct, frozen=True):
    """Title, text and fields of one notice about any number of sessions."""

    title: str
    text: str
    fields: dict[str, Any]


def session_page(page: str, session: str) -> str:
    """The address of the page of ``session``."""
    return f"{page}sessions/{session}"


def printable(name: str) -> str:
    """A name that people chose, safe in any channel: one line, without control characters,
    and without what chat programs take for a mention, a link or markup."""
    bare = name.strip()
    shown = "".join("�" if is_hidden(bare, at) else char for at, char in enumerate(bare))
    for mark in ("@", "<", ">", "`", "*", "[", "]", "|", "~"):
        shown = shown.replace(mark, chr(ord(mark) + 0xFEE0))  # the full-width form
    shown = " ".join(shown.split()) or "?"
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"


def opened(entries: Sequence[NeedEntry], advice: dict[str, NeedAdvice], page: str) -> NoticeWords:
    """The notice that sessions need a person, grouped by what happened."""
    groups = _by_need(entries)
    if len(entries) == 1:
        one = entries[0]
        head, what = f"Session {_named(one)} needs a person", advice[one.need]
        text = f"{head}: {what.what} What to do: {what.todo} {session_page(page, one.session)}"
    else:
        head = f"{len(entries)} sessions need a person"
        lines = [f"{head}: {page}"]
        for need, group in groups.items():
            lines.append(f"{advice[need].what} {_names(group)}. What to do: {advice[need].todo}")
        text = "\n".join(lines)
    grave = any(advice[need].severity == "critical" for need in groups)
    return NoticeWords(head, text, _fields(entries, page) | {"severity": "critical" if grave else "warning"})


def over(entries: Sequence[NeedEntry], page: str) -> NoticeWords:
    """The notice that sessions work again."""
    if len(entries) == 1:
        head = f"Session {_named(entries[0])} works again"
        return NoticeWords(head, f"{head}. {session_page(page, entries[0].session)}", _fields(entries, page))
    head = f"{len(entries)} sessions work again"
    return NoticeWords(head, f"{head}: {_names(entries)}. {page}", _fields(entries, page))


def _by_need(entries: Sequence[NeedEntry]) -> dict[str, list[NeedEntry]]:
    groups: dict[str, list[NeedEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.need, []).append(entry)
    return groups


def _named(entry: NeedEntry) -> str:
    return printable(entry.name) if entry.name == entry.session else f"{printable(entry.name)} ({entry.session})"


def _names(entries: Sequence[NeedEntry]) -> str:
    named = ", ".join(_named(entry) for entry in entries[:NAMES])
    return f"{named} and {len(entries) - NAMES} more" if len(entries) > NAMES else named


def _fields(entries: Sequence[NeedEntry], page: str) -> dict[str, Any]:
    return {
        "count": len(entries),
        "needs": {need: len(group) for need, group in _by_need(entries).items()},
        "sessions": [
            {"session": one.session, "name": one.name, "need": one.need, "link": session_page(page, one.session)}
            for one in entries[:NAMES]
        ],
    }

"""``GET /feed.atom``: incidents, announcements and maintenance for feed readers (RFC 4287), in English."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from shared import reason_words
from shared.clock import from_ms, iso
from shared.translation import ENGLISH
from shared.visible import shown
from shared.web.ui.words import Words
from watchdog.domain.announcements import Announcement
from watchdog.domain.notices import length
from watchdog.domain.policy import Pause
from watchdog.domain.states import Incident
from watchdog.ledger import announcements, pauses, timeline
from watchdog.status import wording
from watchdog.status.schema import PUBLIC_INCIDENTS

MOST = 20
_WORDS = Words("en", ENGLISH)


@dataclass(frozen=True, slots=True)
class Entry:
    """Times in ms since the epoch; ``updated_ms`` changes only with what the entry says."""

    id: str
    title: str
    text: str
    published_ms: int
    updated_ms: int


def read(connection: sqlite3.Connection, now_ms: int) -> list[Entry]:
    """The newest entries, latest change first."""
    found = [
        *(_incident(each) for each in timeline.incidents(connection, limit=2 * MOST) if each.kind in PUBLIC_INCIDENTS),
        *(_announcement(each, now_ms) for each in announcements.newest(connection, MOST)),
        *(_maintenance(each, now_ms) for each in pauses.newest(connection, MOST)),
    ]
    return sorted(found, key=lambda entry: entry.updated_ms, reverse=True)[:MOST]


def _incident(incident: Incident) -> Entry:
    what = wording.INCIDENT[incident.kind]
    why = reason_words.words(incident.reason, _WORDS)
    updated_ms = incident.decided_at_ms
    text = f"Since {_when(incident.opened_at_ms)}: {why}."
    if incident.closed_at_ms is not None:
        updated_ms = incident.closed_at_ms
        lasted = length(incident.closed_at_ms - incident.opened_at_ms)
        text = f"From {_when(incident.opened_at_ms)} to {_when(incident.closed_at_ms)}, {lasted}: {why}."
        what = f"{what} (over)"
    return Entry(incident.id, f"{incident.target}: {what}", text, incident.decided_at_ms, updated_ms)


def _announcement(announcement: Announcement, now_ms: int) -> Entry:
    over_ms = announcement.over_at_ms(now_ms)
    title = announcement.title if over_ms is None else f"{announcement.title} (over)"
    return Entry(
        announcement.id, title, announcement.text, announcement.created_at_ms, over_ms or announcement.created_at_ms
    )


def _maintenance(pause: Pause, now_ms: int) -> Entry:
    published_ms = pause.created_at_ms or pause.from_ms
    ended_ms = pause.until_ms if pause.ended_at_ms is None else pause.ended_at_ms
    title, updated_ms = "Maintenance", max(published_ms, pause.from_ms)
    if ended_ms <= now_ms:
        cancelled = ended_ms < pause.from_ms
        title, updated_ms = f"Maintenance ({'cancelled' if cancelled else 'over'})", max(published_ms, ended_ms)
    elif pause.from_ms > now_ms:
        title, updated_ms = "Planned maintenance", published_ms
    text = f"From {_when(pause.from_ms)} to {_when(pause.until_ms)}."
    return Entry(pause.id, title, f"{text}\n{pause.text}".strip(), published_ms, updated_ms)


def _when(at_ms: int) -> str:
    return _WORDS.when(from_ms(at_ms))


def atom(entries: Sequence[Entry], *, title: str, address: str, made_ms: int) -> str:
    """The document. ``address`` is that of the status page; ids stay when a page moves within its host."""
    host = urlsplit(address).hostname or "localhost"
    return "\n".join(_lines(entries, title=title, address=address, host=host, made_ms=made_ms))


def _lines(entries: Sequence[Entry], *, title: str, address: str, host: str, made_ms: int) -> Iterator[str]:
    updated_ms = max((entry.updated_ms for entry in entries), default=made_ms)
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield '<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">'
    yield f"<title>{_text(title)}</title><id>tag:{host},2026:status</id><updated>{_time(updated_ms)}</updated>"
    yield f"<author><name>{_text(title)}</name></author>"
    yield f'<link rel="self" href="{_text(address)}/feed.atom"/><link rel="alternate" href="{_text(address)}/"/>'
    for entry in entries:
        yield (
            f"<entry><id>tag:{host},2026:{_text(entry.id)}</id><title>{_text(entry.title)}</title>"
            f"<published>{_time(entry.published_ms)}</published><updated>{_time(entry.updated_ms)}</updated>"
            f'<link rel="alternate" href="{_text(address)}/#{_text(entry.id)}"/>'
            f"<content>{_text(entry.text)}</content></entry>"
        )
    yield "</feed>"


def _time(at_ms: int) -> str:
    return iso(from_ms(at_ms))


def _text(text: str) -> str:
    return escape(shown(text, keep="\n"))

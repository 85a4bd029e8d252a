"""``GET /feed.atom``: incidents, announcements and maintenance for feed readers (RFC 4287), in the reader's language."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from shared import reason_words
from shared.clock import from_ms, iso
from shared.visible import shown
from shared.web.ui.words import Words
from watchdog.domain.announcements import Announcement
from watchdog.domain.policy import Pause
from watchdog.domain.states import Incident
from watchdog.ledger import announcements, pauses, timeline
from watchdog.status import wording
from watchdog.status.schema import PUBLIC_INCIDENTS

MOST = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """Times in ms since the epoch; ``updated_ms`` changes only with what the entry says."""

    id: str
    title: str
    text: str
    published_ms: int
    updated_ms: int


def read(connection: sqlite3.Connection, now_ms: int, t: Words) -> list[Entry]:
    """The newest entries, latest change first."""
    found = [
        *(
            _incident(each, t)
            for each in timeline.incidents(connection, limit=2 * MOST)
            if each.kind in PUBLIC_INCIDENTS
        ),
        *(_announcement(each, now_ms, t) for each in announcements.newest(connection, MOST)),
        *(_maintenance(each, now_ms, t) for each in pauses.newest(connection, MOST)),
    ]
    return sorted(found, key=lambda entry: entry.updated_ms, reverse=True)[:MOST]


def _incident(incident: Incident, t: Words) -> Entry:
    what = t(wording.INCIDENT[incident.kind])
    why, begin = reason_words.words(incident.reason, t), _when(incident.opened_at_ms, t)
    updated_ms = incident.decided_at_ms
    text = t("Since {when}: {reason}.", when=begin, reason=why)
    if incident.closed_at_ms is not None:
        updated_ms = incident.closed_at_ms
        lasted = t.span(max(0, incident.closed_at_ms - incident.opened_at_ms))
        end = _when(incident.closed_at_ms, t)
        text = t("From {begin} to {end}, {span}: {reason}.", begin=begin, end=end, span=lasted, reason=why)
        what = t("{what} (over)", what=what)
    title = t("{name}: {what}", name=incident.target, what=what)
    return Entry(incident.id, title, text, incident.decided_at_ms, updated_ms)


def _announcement(announcement: Announcement, now_ms: int, t: Words) -> Entry:
    over_ms = announcement.over_at_ms(now_ms)
    title = announcement.title if over_ms is None else t("{what} (over)", what=announcement.title)
    return Entry(
        announcement.id, title, announcement.text, announcement.created_at_ms, over_ms or announcement.created_at_ms
    )


def _maintenance(pause: Pause, now_ms: int, t: Words) -> Entry:
    published_ms = pause.created_at_ms or pause.from_ms
    ended_ms = pause.until_ms if pause.ended_at_ms is None else pause.ended_at_ms
    title, updated_ms = t("Maintenance"), max(published_ms, pause.from_ms)
    if ended_ms <= now_ms:
        cancelled = ended_ms < pause.from_ms
        title = t("Maintenance (cancelled)") if cancelled else t("{what} (over)", what=t("Maintenance"))
        updated_ms = max(published_ms, ended_ms)
    elif pause.from_ms > now_ms:
        title, updated_ms = t("Planned maintenance"), published_ms
    text = t("From {begin} to {end}.", begin=_when(pause.from_ms, t), end=_when(pause.until_ms, t))
    return Entry(pause.id, title, f"{text}\n{pause.text}".strip(), published_ms, updated_ms)


def _when(at_ms: int, t: Words) -> str:
    return t.when(from_ms(at_ms))


def atom(entries: Sequence[Entry], *, title: str, address: str, made_ms: int, lang: str, query: str = "") -> str:
    """The document. ``address`` is that of the status page, ``query`` what the reader chose the language with.

    Ids stay when a page moves within its host, and in every language.
    """
    host = urlsplit(address).hostname or "localhost"
    return "\n".join(_lines(entries, title, address, host, made_ms, lang, query))


def _lines(
    entries: Sequence[Entry], title: str, address: str, host: str, made_ms: int, lang: str, query: str
) -> Iterator[str]:
    updated_ms = max((entry.updated_ms for entry in entries), default=made_ms)
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{lang}">'
    yield f"<title>{_text(title)}</title><id>tag:{host},2026:status</id><updated>{_time(updated_ms)}</updated>"
    yield f"<author><name>{_text(title)}</name></author>"
    yield f'<link rel="self" href="{_text(address)}/feed.atom{query}"/><link rel="alternate" href="{_text(address)}/"/>'
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

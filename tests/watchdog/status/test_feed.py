"""The feed is valid Atom; an entry changes only when what it says does; nothing of operators is in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import pytest

from shared.translation import ENGLISH, languages
from shared.web.ui import words as ui
from shared.web.ui.words import Words
from watchdog.domain.announcements import Announcement, Severity
from watchdog.domain.policy import Pause
from watchdog.domain.states import Incident, IncidentKind
from watchdog.ledger import announcements, incidents, pauses
from watchdog.ledger.sqlite import open_ledger
from watchdog.status import feed

ATOM = "{http://www.w3.org/2005/Atom}"
HOUR_MS = 3_600_000
NOW_MS = 1_790_000_000_000


ENGLISH_WORDS = Words("en", ENGLISH)


async def entries(tmp_path: Path, now_ms: int = NOW_MS, t: Words = ENGLISH_WORDS) -> dict[str, feed.Entry]:
    """Of a ledger with one of everything, by id."""
    ledger = open_ledger(tmp_path / "w.db")

    def fill(connection: sqlite3.Connection) -> None:
        for kind, name in (
            (IncidentKind.DOWN, "down-1"),
            (IncidentKind.BLIND, "blind-1"),
            (IncidentKind.DOWN, "down-2"),
        ):
            incidents.open_incident(
                connection, Incident(name, "bot", kind, NOW_MS - 3 * HOUR_MS, NOW_MS - 2 * HOUR_MS, "timeout")
            )
        incidents.acknowledge(connection, "down-1", NOW_MS - HOUR_MS, "secret ann")
        incidents.close_incident(connection, "down-1", NOW_MS - HOUR_MS, "recovered")
        news = Announcement(
            "news-1", "<b>New & better</b>", "More soon.", Severity.INFO, NOW_MS - HOUR_MS, None, "secret bob"
        )
        announcements.add(connection, news)
        for name, begin_ms in (("pause-1", NOW_MS + HOUR_MS), ("pause-2", NOW_MS - 5 * HOUR_MS)):
            window = Pause(
                name, "*", begin_ms, begin_ms + HOUR_MS, "secret cat", "secret reason", "We move.", NOW_MS - 6 * HOUR_MS
            )
            pauses.begin(connection, window)

    await ledger.write(fill)
    found = await ledger.read(lambda c: feed.read(c, now_ms, t))
    ledger.close()
    return {entry.id: entry for entry in found}


async def test_incidents_announcements_and_maintenance_are_entries(tmp_path: Path) -> None:
    found = await entries(tmp_path)
    assert {name: entry.title for name, entry in found.items()} == {
        "down-1": "bot: Down (over)",
        "down-2": "bot: Down",
        "news-1": "<b>New & better</b>",
        "pause-1": "Planned maintenance",
        "pause-2": "Maintenance (over)",
    }, "that the watchdog cannot see is no news for customers"
    assert "We move." in found["pause-1"].text
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("lang", "titles", "text"),
    [
        (
            "fr",
            {"bot : En panne (terminé)", "bot : En panne", "Maintenance planifiée", "Maintenance (terminé)"},
            "Depuis le 21 sept. 2026, 11:13 UTC : pas de réponse à temps.",
        ),
        (
            "es",
            {"bot: Caído (finalizado)", "bot: Caído", "Mantenimiento programado", "Mantenimiento (finalizado)"},
            "Desde el 21 sept 2026, 11:13 UTC: sin respuesta a tiempo.",
        ),
    ],
)
async def test_entries_are_in_the_language_of_the_reader_and_keep_their_ids(
    tmp_path: Path, lang: str, titles: set[str], text: str
) -> None:
    catalogue = languages(Path(feed.__file__).parent, Path(ui.__file__).parent)[lang]
    found = await entries(tmp_path, t=Words(lang, catalogue))
    assert found.keys() == {"down-1", "down-2", "news-1", "pause-1", "pause-2"}
    shown = {entry.title.replace("\u00a0", " ").replace("\u202f", " ") for entry in found.values()}
    assert shown == titles | {"<b>New & better</b>"}, "what people wrote stays as it is"
    assert found["down-2"].text.replace("\u00a0", " ").replace("\u202f", " ") == text


async def test_an_entry_is_updated_only_when_it_says_something_else(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before, later = await entries(tmp_path / "a"), await entries(tmp_path / "b", NOW_MS + 60_000)
    assert before == later
    (tmp_path / "c").mkdir()
    begun = await entries(tmp_path / "c", NOW_MS + HOUR_MS)
    assert begun["pause-1"].title == "Maintenance"
    assert begun["pause-1"].updated_ms == NOW_MS + HOUR_MS


async def test_the_document_is_atom_with_everything_escaped(tmp_path: Path) -> None:
    found = list((await entries(tmp_path)).values())
    text = feed.atom(found, title='Tom & "Jerry"', address="https://watch.example/a", made_ms=NOW_MS, lang="en")
    root = ElementTree.fromstring(text)
    assert root.tag == f"{ATOM}feed"
    assert root.findtext(f"{ATOM}title") == 'Tom & "Jerry"'
    listed = root.findall(f"{ATOM}entry")
    assert len(listed) == 5
    for each in listed:
        for name in ("id", "title", "updated", "published"):
            assert each.findtext(f"{ATOM}{name}"), name
    assert "<b>New & better</b>" in {each.findtext(f"{ATOM}title") for each in listed}
    assert len({each.findtext(f"{ATOM}id") for each in listed}) == 5
    updated = [each.findtext(f"{ATOM}updated") or "" for each in listed]
    assert updated == sorted(updated, reverse=True)
    assert root.findtext(f"{ATOM}updated") == updated[0]


def test_a_feed_without_entries_is_valid_too() -> None:
    root = ElementTree.fromstring(feed.atom([], title="T", address="http://localhost:3001", made_ms=NOW_MS, lang="en"))
    assert root.findtext(f"{ATOM}updated")
    assert root.findall(f"{ATOM}entry") == []

"""A ledger of every older schema is brought up to date and keeps what it held."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path

import pytest

from watchdog.domain.announcements import Announcement, Severity
from watchdog.domain.policy import Pause
from watchdog.ledger import announcements, pauses, schema
from watchdog.ledger.outbox import Channels
from watchdog.ledger.settling import channel_states
from watchdog.ledger.sqlite import open_ledger


def older(path: Path, version: int) -> None:
    """A ledger as the version that knew ``version`` wrote it, with a window and a channel that failed."""
    connection = sqlite3.connect(path)
    for number in range(1, version + 1):
        connection.executescript(
            resources.files(schema).joinpath(f"{number:04d}.sql").read_text(encoding="utf-8")
            + f"\nPRAGMA user_version = {number};"
        )
    connection.execute(
        "INSERT INTO pause (id, target, from_at, until_at, author, reason) VALUES ('p', '*', 1, 9000, 'ann', 'disk')"
    )
    if version >= 2:
        connection.execute("INSERT INTO channel (channel, label, failures, last_reason) VALUES ('c', 'http', 2, 'dns')")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("version", range(1, schema.NEWEST))
async def test_an_older_ledger_keeps_its_windows_and_takes_what_is_new(tmp_path: Path, version: int) -> None:
    path = tmp_path / "watchdog.db"
    older(path, version)
    ledger = open_ledger(path)
    assert ledger.gap is None
    assert await ledger.read(lambda c: c.execute("PRAGMA user_version").fetchone()[0]) == schema.NEWEST
    assert await ledger.read(lambda c: pauses.current(c, 100)) == (Pause("p", "*", 1, 9000, "ann", "disk"),)
    if version >= 2:
        (channel,) = await ledger.read(lambda c: channel_states(c, Channels(("c",)), {"c": "http"}))
        assert (channel.failures, channel.last_reason, channel.last_failed_at_ms, channel.last_failure) == (
            2,
            "dns",
            None,
            "",
        )
    news = Announcement("news-1", "Move", "Two lines\nof text", Severity.PROBLEM, 50, None, "ann")
    window = Pause("q", "bot", 200, 300, "bob", "", "We move.", 60)
    await ledger.write(lambda c: announcements.add(c, news))
    await ledger.write(lambda c: pauses.begin(c, window))
    ledger.close()
    again = open_ledger(path)
    assert await again.read(lambda c: announcements.current(c, 100)) == (news,)
    assert window in await again.read(lambda c: pauses.current(c, 100))
    assert await again.write(lambda c: announcements.end(c, "news-1", 120))
    assert not await again.write(lambda c: announcements.end(c, "news-1", 130)), "ended once"
    assert await again.read(lambda c: announcements.current(c, 140)) == ()
    again.close()

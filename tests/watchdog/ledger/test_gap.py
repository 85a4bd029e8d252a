"""A ledger that can no longer be written or read: work goes on in memory, and the file gets everything later."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shared.contract.attention import Attention, NeedEntry
from tests.support.waiting import eventually
from watchdog.domain.states import Notice, NoticeKind
from watchdog.ledger import attention
from watchdog.ledger.outbox import Channels
from watchdog.ledger.sqlite import Ledger, LedgerRefused, open_ledger

Mend = Callable[[], None]
CHANNELS = Channels(("log",))


def _nothing() -> None:
    pass


def full(ledger: Ledger, path: Path) -> Mend:
    ledger._writer.execute("PRAGMA max_page_count = 1")
    return _nothing


def read_only(ledger: Ledger, path: Path) -> Mend:
    ledger._writer.execute("PRAGMA query_only = ON")
    return _nothing


def locked(ledger: Ledger, path: Path) -> Mend:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other.close


def damaged(ledger: Ledger, path: Path) -> Mend:
    ledger._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    for connection in (ledger._writer, ledger._reader):
        connection.execute("PRAGMA shrink_memory")
    return _nothing


def removed(ledger: Ledger, path: Path) -> Mend:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    return _nothing


def cut(ledger: Ledger, path: Path) -> Mend:
    ledger._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.truncate(4096)
    for connection in (ledger._writer, ledger._reader):
        connection.execute("PRAGMA shrink_memory")
    return _nothing


def immutable(ledger: Ledger, path: Path) -> Mend:
    """Touching the shared memory of an immutable file would end this process by SIGBUS."""
    files = [str(file) for file in path.parent.glob("watchdog.db*")]
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+i", *files], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root, chattr and a file system with immutable files (.ci/run has them)")

    def mend() -> None:
        subprocess.run([chattr, "-i", *files], check=True)

    return mend


def put(key: str) -> Callable[[sqlite3.Connection], object]:
    return lambda c: c.execute("INSERT INTO meta VALUES (?, ?)", (key, "x" * 9000))


def keys(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM meta")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "watchdog.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = open_ledger(path)
    yield opened
    opened.close()


@pytest.mark.parametrize("break_it", [full, read_only, locked, damaged, removed, cut, immutable])
async def test_every_write_is_taken_and_ends_in_the_file(
    ledger: Ledger, path: Path, break_it: Callable[[Ledger, Path], Mend]
) -> None:
    await ledger.write(put("before"))
    await _copied(ledger)
    mend = break_it(ledger, path)
    try:
        await ledger.look()
        for number in range(20):
            await ledger.write(put(f"during-{number}"))
    except BaseException:
        mend()
        raise
    if break_it is immutable:
        assert not await ledger.resume(CHANNELS)
    assert ledger.gap is not None
    assert (
        await ledger.read(lambda c: c.execute("SELECT count(*) FROM meta WHERE key LIKE 'during%'").fetchone()[0]) == 20
    )
    mend()
    assert await ledger.resume(CHANNELS)
    assert ledger.gap is None
    await ledger.write(put("after"))
    assert keys(path) >= {"before", "after", *(f"during-{number}" for number in range(20))}
    kept = [file.name for file in path.parent.glob("*.damaged-*Z")]
    assert len(kept) == (break_it in (damaged, cut))
    assert ledger.kept_aside == tuple(kept)


async def test_it_does_not_resume_while_the_file_is_still_locked_and_never_waits_long(
    ledger: Ledger, path: Path
) -> None:
    mend = locked(ledger, path)
    await ledger.write(put("during"))
    for _ in range(3):
        assert not await ledger.resume(CHANNELS)
    assert ledger.gap is not None
    assert ledger.gap.why == "another program has locked the database"
    await ledger.write(put("still"))
    mend()
    assert await ledger.resume(CHANNELS)
    assert keys(path) >= {"during", "still"}


async def test_a_damaged_page_found_by_a_read_is_answered_from_memory(ledger: Ledger, path: Path) -> None:
    await ledger.write(put("before"))
    await ledger.read(lambda c: c.execute("SELECT count(*) FROM meta").fetchone())
    await _copied(ledger)
    damaged(ledger, path)
    found = await ledger.read(lambda c: [key for (key,) in c.execute("SELECT key FROM meta")])
    assert found == ["before"]
    assert ledger.gap is not None
    assert "damaged" in ledger.gap.why


async def _copied(ledger: Ledger) -> None:
    await eventually(lambda: ledger._latest, what="the copy in memory")


async def test_damage_that_no_decision_has_met_is_found_by_the_hourly_check(ledger: Ledger, path: Path) -> None:
    await ledger.write(put("before"))
    await ledger.look_for_damage()
    assert ledger.gap is None
    damaged(ledger, path)
    await ledger.look_for_damage()
    assert ledger.gap is not None
    assert await ledger.resume(CHANNELS)
    assert len(ledger.kept_aside) == 1


async def test_a_disk_that_does_not_answer_is_left_alone_until_it_does(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchdog.ledger.sqlite.STUCK_S", 0.2)
    answers = threading.Event()
    hangs = {"once": True}

    def slow(connection: sqlite3.Connection) -> None:
        if hangs.pop("once", False):
            answers.wait(30)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('slow', '1')")

    await ledger.write(slow)
    assert ledger.gap is not None
    assert ledger.gap.why == "the disk does not answer"
    assert not await ledger.resume(CHANNELS)
    await ledger.write(put("during"))
    answers.set()
    await eventually(lambda: ledger.resume(CHANNELS), what="the file in use again")
    assert keys(path) >= {"slow", "during"}


async def test_a_defect_of_a_statement_is_raised_and_no_failure_of_the_disk(ledger: Ledger) -> None:
    await ledger.write(put("one"))
    with pytest.raises(sqlite3.IntegrityError):
        await ledger.write(put("one"))
    with pytest.raises(ZeroDivisionError):
        await ledger.write(lambda c: 1 // 0)
    assert ledger.gap is None


async def test_a_write_that_is_in_memory_when_it_stops_is_in_the_file_at_the_next_start(path: Path) -> None:
    ledger = open_ledger(path)
    mend = locked(ledger, path)
    await ledger.write(put("during"))
    mend()
    ledger.close()
    assert keys(path) == {"during"}


# --- at the start ---


@pytest.mark.parametrize("content", [b"this is no database" * 400, b"SQLite format 3\0" + b"\xff" * 9000])
async def test_a_damaged_file_at_the_start_is_kept_aside_and_a_new_one_begins(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    ledger = open_ledger(path)
    assert ledger.gap is not None
    assert not ledger.history_known
    await ledger.write(put("first"))
    assert await ledger.resume(CHANNELS)
    (aside,) = ledger.kept_aside
    assert (path.parent / aside).read_bytes() == content
    ledger.close()
    assert keys(path) == {"first"}


async def test_what_can_be_read_of_a_damaged_file_goes_on(path: Path) -> None:
    ledger = open_ledger(path)
    await ledger.write(put("earlier"))
    await ledger.write(
        lambda c: c.executemany(
            "INSERT INTO flip VALUES (NULL, 'bot', ?, 0, 'UP', 'DOWN', 'x', '')", [(n,) for n in range(5000)]
        )
    )
    root = await ledger.read(
        lambda c: c.execute("SELECT rootpage FROM sqlite_master WHERE name = 'delivery_by_outbox'").fetchone()[0]
    )
    ledger.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    again = open_ledger(path)
    assert again.gap is not None
    assert again.history_known
    assert await again.resume(CHANNELS)
    again.close()
    assert keys(path) == {"earlier"}


async def test_a_folder_that_cannot_be_made_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ledger = open_ledger(tmp_path / "file" / "watchdog.db")
    await ledger.write(put("memory"))
    assert ledger.gap is not None
    assert not await ledger.resume(CHANNELS)
    ledger.close()


async def test_a_file_locked_at_the_start_is_read_and_used_later(path: Path) -> None:
    first = open_ledger(path)
    await first.write(put("earlier"))
    first.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ledger = open_ledger(path)
        assert ledger.gap is not None
        assert ledger.history_known
        await ledger.write(put("during"))
    assert await ledger.resume(CHANNELS)
    ledger.close()
    assert keys(path) == {"earlier", "during"}


def test_a_newer_file_and_one_of_another_program_are_still_refused(path: Path) -> None:
    open_ledger(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerRefused, match="newer version"):
        open_ledger(path)


@pytest.mark.parametrize("break_it", [full, read_only, locked, damaged, removed, cut])
async def test_sessions_that_need_a_person_are_reported_once_over_a_gap(
    ledger: Ledger, path: Path, break_it: Callable[[Ledger, Path], Mend]
) -> None:
    """Reported before it, during it, and ended during it: each once, and the file knows it afterwards."""

    def seen(*sessions: str) -> Attention:
        return Attention("b-1", "http://x/", {}, [NeedEntry(session, session, "banned", 7) for session in sessions])

    async def report(found: Attention) -> list[str]:
        unreported = await ledger.write(lambda c: attention.compare(c, "bot", found))
        notice = Notice(f"n-{len(found.sessions)}", "bot", NoticeKind.ATTENTION, 1, "title", "text")
        await ledger.write(lambda c: attention.report_opened(c, "bot", unreported.opened, notice, CHANNELS))
        return [entry.session for entry in unreported.opened]

    assert await report(seen("before", "ended")) == ["before", "ended"]
    await _copied(ledger)
    ledger._copy_now()
    mend = break_it(ledger, path)
    await ledger.look()
    await ledger.write(put("large"))  # more than the full disk of this test still takes
    assert await report(seen("before", "during", "x")) == ["during", "x"]
    assert ledger.gap is not None
    mend()
    assert await ledger.resume(CHANNELS)
    assert await report(seen("before", "during", "x")) == []
    with closing(sqlite3.connect(path)) as connection:
        kept = [session for (session,) in connection.execute("SELECT session FROM attention ORDER BY session")]
    assert kept == ["before", "during", "x"], "one that ended in memory does not come back"

"""The newest lines of the log in memory: bounded, filtered, redacted as in the output, in order for a follower."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from shared import logs, recent_log
from shared.recent_log import LogLine, RecentLog, Wanted
from tests.support import log_setup


@pytest.fixture(autouse=True)
def recent(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecentLog]:
    made = RecentLog()
    monkeypatch.setattr(logs, "RECENT", made)
    with log_setup.restored():
        yield made


def line(second: int, level: str = "info", event: str = "ping.ok", session: str | None = None) -> LogLine:
    return LogLine(f"2026-11-28T09:12:{second:02}.000000Z", level, event, session, "x" * 100)


def test_the_oldest_lines_make_room() -> None:
    kept = RecentLog(size=350)
    for second in range(9):
        kept.add(line(second))
    assert [each.time[17:19] for each in kept.find(Wanted(), 100)] == ["06", "07", "08"]
    assert [each.time[17:19] for each in kept.find(Wanted(), 1)] == ["08"]
    assert kept.find(Wanted(), 0) == []


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        (Wanted(), [1, 2, 3, 4]),
        (Wanted(level="warning"), [2, 4]),
        (Wanted(level="error"), [4]),
        (Wanted(session="alice"), [3, 4]),
        (Wanted(event="session.*"), [2, 3]),
        (Wanted(event="ping.ok"), [1]),
        (Wanted(since="2026-11-28T09:12:03.000000Z"), [3, 4]),
        (Wanted(session="alice", level="error", event="session.*"), []),
    ],
)
def test_lines_are_found_by_what_is_asked(wanted: Wanted, seconds: list[int]) -> None:
    kept = RecentLog()
    # The line of a worker arrives later than it was written.
    for each in (
        line(1), line(3, event="session.state", session="alice"), line(2, "warning", "session.state", "bob"),
        line(4, "error", "send.failed", "alice"),
    ):  # fmt: skip
        kept.add(each)
    assert [int(each.time[17:19]) for each in kept.find(wanted, 100)] == seconds


def test_a_follower_gets_each_line_once_until_it_leaves() -> None:
    kept, got = RecentLog(), list[LogLine]()
    kept.add(line(1))
    before, leave = kept.find_and_subscribe(Wanted(), 10, got.append)
    kept.add(line(2))
    leave()
    kept.add(line(3))
    assert (before, got) == ([line(1)], [line(2)])


def test_a_listener_of_an_ended_loop_harms_nobody_who_logs() -> None:
    def gone(_line: LogLine) -> None:
        raise RuntimeError("Event loop is closed")

    kept = RecentLog()
    kept.subscribe(gone)
    kept.add(line(1))
    assert len(kept.find(Wanted(), 10)) == 1


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_is_kept_is_the_redacted_line_and_is_found_by_the_session_it_is_about(
    recent: RecentLog, log_format: str
) -> None:
    logs.configure(log_format, "info", io.StringIO(), program="bot")
    logs.get("x").info(
        "Sent to +33612345678", event_name="message.sent", session="33612345678", token="abc", name="a\nb"
    )
    logs.get("x").debug("Too little to be said")
    [kept] = recent.find(Wanted(session="33612345678"), 10)
    shown = json.loads(kept.text)
    assert "33612345678" not in kept.text
    assert "abc" not in kept.text
    assert (shown["program"], shown["level"], shown["event"]) == ("bot", "info", "message.sent")
    assert (kept.level, kept.event, kept.time) == ("info", "message.sent", shown["time"])
    assert "_session" not in shown
    assert len(recent.find(Wanted(), 10)) == 1


def test_every_level_of_the_log_has_an_order() -> None:
    assert recent_log.LEVELS == ("debug", "info", "warning", "error", "critical")

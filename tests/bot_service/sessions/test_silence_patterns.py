"""What a session usually receives outlives a restart, is small, and goes with its session."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bot_service import keys
from bot_service.domain.readiness import DoubtPolicy, Suspicion, doubt
from bot_service.domain.session_record import HOUR_MS
from bot_service.domain.states import State
from tests.support.bot_app import Bot, is_in, paired, running


def learn(bot: Bot, session: str) -> None:
    """A message every thirty seconds in every hour of the last two days."""
    supervisor = bot.app[keys.SESSIONS].supervisor
    pattern, now_ms = supervisor.activity.evidence(session).pattern, supervisor.now_ms()
    for number in range(2 * 24 * 120):
        pattern.count(now_ms - 48 * HOUR_MS + number * 30_000)


def rows(folder: Path) -> dict[str, int]:
    with sqlite3.connect(folder / "bot.db") as connection:
        found = dict(connection.execute("SELECT session, length(rates) FROM patterns"))
    connection.close()
    return found


@pytest.mark.sqlite
async def test_silence_is_noticed_after_a_restart_by_what_was_learned_before(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "busy", "quiet")
        learn(bot, "busy")
    assert rows(tmp_path) == {"busy": 96}
    async with running(tmp_path) as bot:
        await is_in(bot, "busy", State.READY)
        await is_in(bot, "quiet", State.READY)
        supervisor, registry = bot.app[keys.SESSIONS].supervisor, bot.app[keys.SESSIONS].registry
        for session, wanted in (("busy", Suspicion.SILENCE), ("quiet", None)):
            record = registry.get(session)
            assert record is not None
            later = supervisor.now_ms() + 5 * 60_000
            assert doubt(record, supervisor.activity.evidence(session), DoubtPolicy(), later) is wanted


@pytest.mark.sqlite
async def test_only_what_was_learned_anew_is_written_and_a_deleted_session_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "one", "two")
        learn(bot, "one")
        learn(bot, "two")
        keeper, supervisor = bot.app[keys.SESSIONS].silence_patterns, bot.app[keys.SESSIONS].supervisor
        await keeper.save()
        with sqlite3.connect(tmp_path / "bot.db") as connection:
            connection.execute("UPDATE patterns SET updated_ms = 0")
        connection.close()
        supervisor.activity.inbound("one")
        await keeper.save()
        with sqlite3.connect(tmp_path / "bot.db") as connection:
            written = dict(connection.execute("SELECT session, updated_ms > 0 FROM patterns"))
        connection.close()
        assert written == {"one": 1, "two": 0}
        await bot.call("DELETE", "/api/sessions/one")
        assert set(rows(tmp_path)) == {"two"}
    assert set(rows(tmp_path)) == {"two"}


@pytest.mark.sqlite
async def test_a_row_of_a_session_that_is_gone_is_deleted_at_boot(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "one")
        learn(bot, "one")
    with sqlite3.connect(tmp_path / "bot.db") as connection:
        connection.execute("INSERT INTO patterns SELECT 'gone', learned, updated_ms, rates FROM patterns")
    connection.close()
    async with running(tmp_path) as bot:
        assert bot.app[keys.SESSIONS].silence_patterns is not None
    assert set(rows(tmp_path)) == {"one"}

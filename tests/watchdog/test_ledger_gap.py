"""The whole watchdog while its ledger fails: it decides, alerts and shows from memory, and catches up later."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_bot import FakeBot
from tests.support.members import members
from tests.support.receiver import Receiver
from tests.support.waiting import eventually
from tests.support.watchdog_app import RunningWatchdog, running_watchdog
from tests.watchdog.ledger.test_gap import damaged, full, locked, read_only, removed
from watchdog.flow import ledger_watch
from watchdog.ledger import outbox
from watchdog.ledger.sqlite import Ledger
from watchdog.parts import PARTS

QUICK = {"KEEP_ALIVE_INTERVAL": "300"}


def of_kind(kind: str) -> Callable[[Any], bool]:
    return lambda body: bool(body["data"]["kind"] == kind)


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def state(watchdog: RunningWatchdog) -> str:
    return str(watchdog.app[PARTS].pipeline.state("bot").state)


async def unusable(ledger: Ledger) -> None:
    """Write until the failure is met: a full file still has room on its last page."""
    await ledger.look()

    async def met() -> bool:
        await ledger.write(lambda c: c.execute("INSERT INTO meta VALUES (hex(randomblob(8)), hex(zeroblob(4000)))"))
        return ledger.gap is not None

    await eventually(met, what="the failure of the ledger")


@pytest.mark.parametrize("break_it", members([full, read_only, locked, damaged, removed], first=2))
async def test_a_bot_that_dies_is_alerted_once_and_the_ledger_has_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[Ledger, Path], Callable[[], None]]
) -> None:
    resume = Ledger.resume
    mended = False

    async def once_mended(self: Ledger, channels: Any) -> bool:
        return mended and await resume(self, channels)

    monkeypatch.setattr(Ledger, "resume", once_mended)
    monkeypatch.setattr(ledger_watch, "NOTIFY_AFTER_S", 0.5)
    monkeypatch.setattr(ledger_watch, "STEADY_S", 0.5)
    path = tmp_path / "watchdog" / "watchdog.db"
    bot = await FakeBot(beats="absent").start()
    async with (
        Receiver() as hook,
        running_watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK) as watchdog,
    ):
        ledger = watchdog.app[PARTS].base.ledger
        await eventually(lambda: state(watchdog) == "UP" and ledger._latest, what="UP")
        mend = break_it(ledger, path)
        await unusable(ledger)
        await bot.stop()
        down = (await hook.wait_for(of_kind("down"))).json["data"]
        assert down["historyKept"] is False
        assert "History not kept" in down["text"]
        failing = (await hook.wait_for(of_kind("ledger_failing"))).json["data"]
        assert failing["reason"] in failing["text"]

        shown = await watchdog.get("/api/status")
        assert (shown["state"], shown["watchdog"]["ledgerOk"]) == ("DOWN", False)
        assert shown["watchdog"]["historyGapSinceMs"] == failing["sinceMs"]
        assert [one["kind"] for one in shown["incidents"]][:1] == ["down"]
        _, page = await watchdog.call("GET", "/", token=None)
        assert "The history is not kept since" in page
        _, metrics = await watchdog.call("GET", "/metrics", token=None)
        assert "veilleur_watchdog_ledger_ok 0.0" in metrics
        assert 'target_state{state="DOWN",target="bot"} 1.0' in metrics
        status, health = await watchdog.call("GET", "/health", token=None)
        assert (status, "ledger" in health["reasons"]) == (503, True)

        mended = True
        mend()
        await hook.wait_for(of_kind("ledger_over"))
        assert (await watchdog.get("/api/status"))["watchdog"]["historyGapSinceMs"] is None
        await bot.start()
        up = (await hook.wait_for(of_kind("up"))).json["data"]
        assert up["incidentId"] == down["incidentId"]
        assert "historyKept" not in up
        assert [got.json["data"]["kind"] for got in hook.requests].count("down") == 1
    await bot.stop()
    assert rows(path, "SELECT id, closed_at IS NULL FROM incident") == [(down["incidentId"], 0)]
    assert rows(path, "SELECT count(*) FROM delivery d JOIN outbox o ON o.id = d.outbox_id WHERE d.ok") != [(0,)]
    assert rows(path, "SELECT count(*) FROM outbox WHERE state != 'done'") == [(0,)]
    assert rows(path, "SELECT count(*) FROM event WHERE kind = 'ledger_gap'") == [(1,)]
    assert rows(path, "SELECT count(*) FROM stretch WHERE kind = 'down' AND until_at > from_at") == [(1,)]
    pings, results = rows(path, "SELECT pings, (SELECT count(*) FROM result) FROM total")[0]
    if break_it not in (damaged, removed):
        assert pings == results
    assert len(list(path.parent.glob("*.damaged-*Z"))) == (break_it is damaged)


@pytest.mark.parametrize("break_it", members([full, read_only, locked]))
async def test_the_end_of_a_failure_is_sent_once_also_when_the_watchdog_restarts_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[Ledger, Path], Callable[[], None]]
) -> None:
    resume = Ledger.resume
    mended = False

    async def once_mended(self: Ledger, channels: Any) -> bool:
        return mended and await resume(self, channels)

    monkeypatch.setattr(Ledger, "resume", once_mended)
    monkeypatch.setattr(ledger_watch, "NOTIFY_AFTER_S", 0.2)
    path = tmp_path / "watchdog" / "watchdog.db"

    def overs(hook: Receiver) -> int:
        # A stop between the delivery and its mark sends the same notice again.
        return len({got.json["data"]["id"] for got in hook.requests if of_kind("ledger_over")(got.json)})

    async with FakeBot(beats="absent") as bot, Receiver() as hook:
        async with running_watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK) as watchdog:
            ledger = watchdog.app[PARTS].base.ledger
            await eventually(lambda: state(watchdog) == "UP" and ledger._latest, what="UP")
            mend = break_it(ledger, path)
            await unusable(ledger)
            failing = (await hook.wait_for(of_kind("ledger_failing"))).json["data"]
            mended = True
            mend()
            await eventually(lambda: ledger.gap is None, what="the ledger in use again")
            assert overs(hook) == 0, "it has not worked for long enough"
        monkeypatch.setattr(ledger_watch, "STEADY_S", 0.2)
        async with running_watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK):
            over = (await hook.wait_for(of_kind("ledger_over"))).json["data"]
            assert over["sinceMs"] == failing["sinceMs"]
        async with running_watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK) as watchdog:
            ledger = watchdog.app[PARTS].base.ledger
            assert await ledger.read(lambda c: outbox.ledger_failing_since_ms(c, 0)) is None
        assert overs(hook) == 1


async def test_a_short_lock_is_no_news(tmp_path: Path) -> None:
    path = tmp_path / "watchdog" / "watchdog.db"
    async with (
        FakeBot(beats="absent") as bot,
        Receiver() as hook,
        running_watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK) as watchdog,
    ):
        ledger = watchdog.app[PARTS].base.ledger
        await eventually(lambda: state(watchdog) == "UP", what="UP")
        mend = locked(ledger, path)
        await unusable(ledger)
        mend()
        await eventually(lambda: ledger.gap is None, what="the ledger in use again")
        _, health = await watchdog.call("GET", "/health", token=None)
        assert health["status"] == "ok"
        assert hook.requests == []


async def test_a_start_without_a_folder_watches_alerts_and_repairs_nothing(tmp_path: Path) -> None:
    (tmp_path / "watchdog").write_text("not a folder")
    bot = await FakeBot(beats="absent").start()
    async with (
        Receiver() as hook,
        running_watchdog(
            tmp_path, bot.url, ALERT_URLS=hook.url, REMEDIATION="docker", REMEDIATION_DRY_RUN="true", **QUICK
        ) as watchdog,
    ):
        await eventually(lambda: state(watchdog) == "UP", what="UP")
        await bot.stop()
        await hook.wait_for(of_kind("down"))
        repairs = watchdog.app[PARTS].repairs
        await eventually(
            lambda: (repairs.refusal("bot") or [None])[0] == "history_unknown", what="the refusal to repair"
        )
        await bot.start()
        await hook.wait_for(of_kind("up"))
    await bot.stop()


async def test_a_damaged_ledger_at_the_start_is_said_and_the_next_history_begins(tmp_path: Path) -> None:
    folder = tmp_path / "watchdog"
    folder.mkdir()
    (folder / "watchdog.db").write_bytes(b"no database" * 999)
    async with (
        FakeBot(beats="absent") as bot,
        Receiver() as hook,
        running_watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK) as watchdog,
    ):
        said = (await hook.wait_for(of_kind("ledger_damaged"))).json["data"]
        assert (folder / said["file"]).read_bytes() == b"no database" * 999
        await eventually(lambda: watchdog.app[PARTS].base.ledger.gap is None, what="a new ledger")
        await eventually(lambda: state(watchdog) == "UP", what="UP")
    assert rows(folder / "watchdog.db", "SELECT count(*) FROM run") == [(1,)]

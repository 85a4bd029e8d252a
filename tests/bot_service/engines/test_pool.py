"""The pool over real workers: sessions start, stop, come back after a death, and no message is lost on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain.message import OutgoingMessage
from bot_service.engines.pool.worker_environment import worker_environment
from bot_service.engines.port import EngineError
from tests.bot_service.engines.conftest import Bench
from tests.support.waiting import eventually


async def test_a_session_pairs_sends_and_gets_receipts(bench: Bench) -> None:
    pool = await bench.open()
    jid = await bench.pair("s1", "4915112345678")
    assert jid.startswith("4915112345678:")
    assert bench.kinds("s1") == [
        *("started", "connecting", "qr", "paired", "pair_restart", "connected", "offline_sync_completed")
    ]
    sent = await pool.send("s1", OutgoingMessage("m1", "491700000000", "text", text="hi"))
    assert sent.id == "m1"
    await eventually(
        lambda: {receipt.type for receipt in bench.receipts()} == {"server", "delivered", "read"},
        what="three receipts in the journal",
    )


async def test_a_stop_keeps_the_pairing_and_a_start_needs_no_new_code(bench: Bench) -> None:
    pool = await bench.open()
    jid = await bench.pair("s1")
    await pool.stop_session("s1")
    assert bench.kinds("s1")[-1] == "stopped"
    with pytest.raises(EngineError, match="not started"):
        await pool.send("s1", OutgoingMessage("m1", "491700000000", "text", text="hi"))
    bench.reported.clear()
    await pool.start_session("s1", jid=jid, proxy=None)
    await bench.until_reported("s1", "offline_sync_completed")
    assert "qr" not in bench.kinds("s1")


async def test_the_end_of_a_client_is_confirmed_by_its_worker_or_by_the_end_of_that(bench: Bench) -> None:
    pool = await bench.open(stop_timeout_s=1.0)
    await bench.pair("shop")
    worker = next(iter(pool.fleet.workers.values()))
    await pool.end_client("shop")
    assert [each["session"] for each in (await worker.command("snapshot"))["sessions"]] == []
    await pool.end_client("shop")  # once more changes nothing
    await pool.end_client("unknown")

    # A worker that is asked and refuses may still hold it: it is waited for, and then the end is not confirmed.
    real = worker.command

    async def refuse(op: str, session: str | None = None, args: dict[str, Any] | None = None) -> Any:
        if op == "stop":
            raise EngineError("internal", "the client hangs")
        return await real(op, session, args)

    await pool.start_session("shop", jid="4915100000001:1@s.whatsapp.net", proxy=None)
    worker.command = refuse  # type: ignore[method-assign]
    # Its replacement ends the process, and with it the client.
    await pool.end_client("shop")
    assert worker.is_lost


async def test_a_session_that_is_moved_starts_in_another_worker_and_needs_no_new_code(bench: Bench) -> None:
    pool = await bench.open()
    jid = await bench.pair("s1")
    before = set(bench.workers())
    await pool.stop_session("s1")
    await pool.move_session("s1")
    bench.reported.clear()
    await pool.start_session("s1", jid=jid, proxy=None)
    await bench.until_reported("s1", "connected")
    assert set(bench.workers()) - before
    assert "qr" not in bench.kinds("s1")


async def test_incarnations_grow_and_old_ones_are_silent(bench: Bench) -> None:
    pool = await bench.open()
    jid = await bench.pair("s1")
    first = bench.reported[0].incarnation
    second = await pool.start_session("s1", jid=jid, proxy=None)
    assert second > first
    await bench.until_reported("s1", "connected", times=2)
    assert [signal.incarnation for signal in bench.reported] == sorted(signal.incarnation for signal in bench.reported)


async def test_kill_9_of_a_worker_while_1000_messages_arrive_loses_none(bench: Bench) -> None:
    pool = await bench.open()
    await bench.pair("s1")
    accepted = await pool.simulate("s1", "message", {"count": 1000, "rate": 1000})
    expected = accepted["messageIds"]
    for kills in range(1, 4):
        await bench.until(lambda kills=kills: len(bench.messages()) > 200 * kills, "some messages")  # type: ignore[misc]
        (pid,) = bench.workers().values()
        os.kill(pid, signal.SIGKILL)
        await bench.until_reported("s1", "worker_lost", times=kills)
        await bench.until_reported("s1", "connected", times=kills + 1)
    await bench.until(lambda: len({m.id for m in bench.messages()}) == 1000, "all messages in the journal")
    arrived = [message.id for message in bench.messages()]
    assert set(arrived) == set(expected)
    duplicates = len(arrived) - 1000
    print(f"1000 messages, 3 kills: 0 lost, {duplicates} came twice")
    # Journalled and not yet acknowledged at the moment of a kill: at most one message each.
    assert duplicates <= 3


async def test_every_journal_record_is_announced_even_those_of_a_killed_worker(bench: Bench) -> None:
    pool = await bench.open()
    await bench.pair("s1")
    await pool.simulate("s1", "message", {"count": 100})
    (pid,) = bench.workers().values()
    os.kill(pid, signal.SIGKILL)
    await bench.until_reported("s1", "connected", times=2)
    await bench.until(lambda: len({m.id for m in bench.messages()}) == 100, "all messages")
    assert bench.journals
    # The files are read here before the last word of them may have come.
    for name in bench.journals:
        size = (bench.data_dir / "journal" / name).stat().st_size
        await bench.until(lambda name=name, size=size: bench.journals[name] == size, f"all of {name} being announced")  # type: ignore[misc]


async def test_a_stopped_worker_is_killed_and_replaced(bench: Bench) -> None:
    pool = await bench.open(wedge_after_s=10.0)
    await bench.pair("s1")
    await pool.simulate("s1", "wedgeWorker", {})
    await bench.until_reported("s1", "worker_lost")
    await bench.until_reported("s1", "connected", times=2)
    assert pool.fleet.replaced == {"wedged": 1}


@pytest.mark.parametrize(
    ("limit", "leak", "reason"),
    [
        ({"max_rss_mb": 200}, {"megabytes": 250}, "memory"),
        ({"max_descriptors": 200}, {"descriptors": 250}, "descriptors"),
    ],
    ids=["memory", "descriptors"],
)
async def test_a_leaking_worker_is_recycled_without_losing_a_message(
    bench: Bench, limit: dict[str, int], leak: dict[str, int], reason: str
) -> None:
    pool = await bench.open(**limit)
    await bench.pair("s1")
    accepted = await pool.simulate("s1", "message", {"count": 1000, "rate": 700})
    await pool.simulate("s1", "leak", leak)
    await bench.until_reported("s1", "connected", times=2)
    await bench.until(lambda: len(bench.messages()) >= 1000, "all messages")
    assert [message.id for message in bench.messages()] == accepted["messageIds"]
    assert "worker_lost" not in bench.kinds("s1")
    assert "stopped" not in bench.kinds("s1")
    await bench.until(lambda: pool.fleet.replaced == {reason: 1}, "the end of the old worker")


async def test_one_bad_session_does_not_take_its_neighbours_down_again_and_again(bench: Bench) -> None:
    pool = await bench.open()
    for name in ("bad", "well"):
        await bench.pair(name)
    assert pool.may_recycle_worker_of("bad")
    await pool.recycle_worker_of("bad")
    for name in ("bad", "well"):
        await bench.until_reported(name, "connected", times=2)
    await bench.until(lambda: pool.fleet.replaced == {"asked": 1}, "the end of the old worker")
    # The budget goes with the sessions: it holds whoever of them asks, in whatever worker they are.
    assert not pool.may_recycle_worker_of("bad")
    assert not pool.may_recycle_worker_of("well")


async def test_the_budget_of_a_worker_comes_back_with_time(bench: Bench) -> None:
    pool = await bench.open(recycle_asked_every_s=3.0)
    await bench.pair("s1")
    await pool.recycle_worker_of("s1")
    await bench.until_reported("s1", "connected", times=2)
    await bench.until(lambda: pool.may_recycle_worker_of("s1"), "the budget coming back")
    await pool.recycle_worker_of("s1")
    assert not pool.may_recycle_worker_of("s1")


async def test_workers_left_by_a_killed_api_process_are_adopted_with_what_happened_meanwhile(bench: Bench) -> None:
    pool = await bench.open()
    jid = await bench.pair("s1")
    before = bench.workers()
    accepted = await pool.simulate("s1", "message", {"count": 300, "rate": 500})
    await bench.leave_workers()
    await bench.until(lambda: len(bench.messages()) == 300, "messages journalled without an API process")
    pool = await bench.reopen()
    assert bench.workers() == before
    assert bench.reported == []
    await pool.start_session("s1", jid=jid, proxy=None)
    assert bench.kinds("s1") == ["started", "connected", "offline_sync_completed"]
    assert {message.id for message in bench.messages()} == set(accepted["messageIds"])
    assert sum(bench.journals.values()) == sum(
        (bench.data_dir / "journal" / name).stat().st_size for name in bench.journals
    )
    await pool.send("s1", OutgoingMessage("m1", "491700000000", "text", text="still there"))


async def test_what_nobody_claims_after_adoption_is_stopped(bench: Bench) -> None:
    await bench.open()
    await bench.pair("s1")
    pool = await bench.reopen()
    await pool.stop_unclaimed()
    with pytest.raises(EngineError, match="not started"):
        await pool.send("s1", OutgoingMessage("m1", "491700000000", "text", text="hi"))


async def test_workers_end_by_themselves_when_no_api_process_comes_back(bench: Bench) -> None:
    await bench.open(orphan_grace_s=3.0)
    await bench.pair("s1")
    await bench.leave_workers()
    await bench.until(lambda: not bench.workers(), "the end of the workers")
    assert list((bench.data_dir / "run").glob("*.sock")) == []


async def test_closing_the_pool_ends_every_worker(bench: Bench) -> None:
    pool = await bench.open(sessions_per_worker=1)
    await bench.pair("s1")
    await bench.pair("s2")
    assert len(bench.workers()) == 2
    await pool.close()
    assert bench.workers() == {}
    assert list((bench.data_dir / "run").iterdir()) == []


async def test_a_pairing_in_a_process_of_its_own_is_handed_over(bench: Bench) -> None:
    await bench.open(pairs_apart=True)
    pool = bench.pool
    await pool.start_session("s1", jid=None, proxy=None)
    await bench.until_reported("s1", "qr")
    (pairing_worker,) = bench.workers()
    await pool.simulate("s1", "scan", {})
    await bench.until_reported("s1", "offline_sync_completed")
    await bench.until(lambda: pairing_worker not in bench.workers(), "the end of the pairing worker")
    assert len(bench.workers()) == 1
    kinds = bench.kinds("s1")
    assert kinds.count("connected") == 1
    assert "stopped" not in kinds
    assert "worker_lost" not in kinds
    assert pool.fleet.replaced == {}


async def test_a_session_that_kills_its_worker_ends_up_alone(bench: Bench) -> None:
    pool = await bench.open(split_after_crashes=2)
    jids = {name: await bench.pair(name) for name in ("a", "b", "c", "d")}
    assert len(bench.workers()) == 1
    for crash in range(1, 6):
        await pool.simulate("c", "crashWorker", {})
        await bench.until_reported("c", "worker_lost", times=crash)
        # Everybody: who was still on the way when the next crash came would have lost nothing.
        for name in jids:
            times = bench.kinds(name).count("worker_lost") + 1
            await bench.until_reported(name, "offline_sync_completed", times=times)
    lost = {name: bench.kinds(name).count("worker_lost") for name in jids}
    # Together twice, then with one other, then alone: halves of halves.
    assert lost == {"a": 2, "b": 2, "c": 5, "d": 3}


async def test_a_worker_that_cannot_be_started_is_an_error_and_not_a_hang(bench: Bench) -> None:
    pool = await bench.open(command=("/nonexistent/program",))
    incarnation = await pool.start_session("s1", jid=None, proxy=None)
    assert incarnation > 0
    await bench.until_reported("s1", "worker_lost", times=2)
    await pool.stop_session("s1")


async def test_closing_the_pool_is_no_news_of_any_session(bench: Bench) -> None:
    pool = await bench.open()
    await bench.pair("s1")
    before = list(bench.reported)
    await pool.close()
    assert bench.reported == before


async def test_figures_of_workers_and_replacements_are_told(bench: Bench) -> None:
    pool = await bench.open()
    reasons: list[str] = []
    pool.fleet.worker_replaced.subscribe(reasons.append)
    await bench.pair("s1")
    (worker,) = pool.fleet.workers.values()
    await bench.until(lambda: worker.rss_bytes > 0, "a pulse")
    assert (worker.sessions, worker.pairing, worker.leaving) == ({"s1"}, False, None)
    assert worker.pulse is not None
    assert worker.pulse.descriptors > 3
    await pool.simulate("s1", "crashWorker", {"signal": "SIGABRT"})
    await bench.until_reported("s1", "connected", times=2)
    assert reasons == ["crash"]


async def test_workers_do_not_inherit_secrets(bench: Bench) -> None:
    needed = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C.UTF-8", "https_proxy": "http://127.0.0.1:9"}
    secrets = {
        "BOT_API_KEY": "k" * 20,
        "WATCHDOG_TOKEN_FILE": "/x",
        "RAILWAY_API_TOKEN": "of-the-watchdog",
        "DATABASE_URL": "postgresql://user:pass@db/x",
        "AWS_SECRET_ACCESS_KEY": "of-something-else",
        "ALERT_URLS": "tgram://token/chat",
    }
    environment = worker_environment(needed | secrets)
    assert environment == needed
    await bench.open(environment=environment)
    await bench.pair("s1")
    (pid,) = bench.workers().values()
    seen = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert {entry.partition(b"=")[0].decode() for entry in seen if entry} <= {*needed, "PYTHONPATH"}

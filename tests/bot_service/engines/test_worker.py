"""A worker process alone: what it tells a new API process, and what it does when nobody reads or asks."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from bot_service.domain.message import OutgoingMessage
from bot_service.engines.port import EngineError
from bot_service.engines.wire.link import connect
from bot_service.engines.wire.protocol import CommandFrame, Hello, Reply, Snapshot
from bot_service.engines.wire.worker_records import socket_path
from tests.bot_service.engines.conftest import Bench
from tests.support.waiting import eventually


async def test_an_api_process_that_does_not_read_holds_nothing_up(bench: Bench) -> None:
    pool = await bench.open(link_limit_bytes=64 * 1024)
    await bench.pair("s1")
    await bench.leave_workers()
    (worker_id,) = bench.workers()
    deaf = await connect(socket_path(bench.data_dir / "run", worker_id), timeout_s=60)
    deaf.offer(Hello("deaf"))
    # Presence comes as frames, messages go to the journal: nobody reads, and both go on.
    deaf.offer(CommandFrame(1, "simulate", "s1", {"action": "message", "count": 1000}))
    for number in range(2, 3000):
        deaf.offer(CommandFrame(number, "simulate", "s1", {"action": "presence"}))
        if number % 100 == 0:
            await asyncio.sleep(0)
    await bench.until(lambda: len(bench.messages()) == 1000, "1000 messages in the journal")
    # The deaf one is cut off once its queue is full; the next one is told where everything stands.
    pool = await bench.reopen()
    await pool.start_session("s1", jid="unknown", proxy=None)
    assert bench.kinds("s1")[-1] == "offline_sync_completed"
    assert len(bench.messages()) == 1000
    await deaf.close()


async def test_a_newer_api_process_replaces_the_older_one(bench: Bench) -> None:
    await bench.open()
    await bench.pair("s1")
    (worker_id,) = bench.workers()
    newer = await connect(socket_path(bench.data_dir / "run", worker_id), timeout_s=60)
    newer.offer(Hello("newer"))
    async for frame in newer.frames():
        if isinstance(frame, Snapshot):
            assert [told.session for told in frame.sessions] == ["s1"]
            assert frame.sessions[0].last_signal == "offline_sync_completed"
            break
    # The pool of this test comes back in turn: it is the newest then.
    async for frame in newer.frames():
        assert not isinstance(frame, Reply)
    assert newer.closed


async def test_sigterm_closes_sessions_and_ends_with_0(bench: Bench) -> None:
    pool = await bench.open()
    await bench.pair("s1")
    (worker,) = pool.fleet.workers.values()
    assert worker.process is not None
    process = worker.process
    os.kill(process.pid, signal.SIGTERM)
    await bench.until(lambda: not process.running(), "the end of the worker")
    assert process.exit_code == 0
    await bench.until(lambda: not {"stopped", "worker_lost"}.isdisjoint(bench.kinds("s1")), "the end of the session")
    await bench.until_reported("s1", "connected", times=2)


async def test_a_full_disk_refuses_and_goes_on_when_there_is_room(bench: Bench) -> None:
    pool = await bench.open()
    await bench.pair("s1")
    accepted: list[str] = []

    async def offer(expected: bool) -> bool:
        try:
            accepted.extend((await pool.simulate("s1", "message", {}))["messageIds"])
        except EngineError as error:
            return not expected and "cannot keep" in error.detail
        return expected

    await pool.simulate("s1", "diskFull", {"seconds": 4.0})
    await eventually(lambda: offer(False), what="a disk that is full")
    await eventually(lambda: offer(True), what="a disk with room")
    await bench.until(lambda: [m.id for m in bench.messages()] == accepted, "every accepted message")


async def test_a_disk_that_fills_up_in_a_storm_loses_nothing(bench: Bench) -> None:
    pool = await bench.open(options={**bench.policy.options, "retry_ms": "50"})
    await bench.pair("s1")
    accepted = await pool.simulate("s1", "message", {"count": 600, "rate": 600})
    await bench.until(lambda: len(bench.messages()) > 50, "the first messages")
    await pool.simulate("s1", "diskFull", {"seconds": 0.5})
    await bench.until(lambda: len({m.id for m in bench.messages()}) == 600, "all messages")
    assert {message.id for message in bench.messages()} == set(accepted["messageIds"])


async def test_a_command_to_a_session_that_does_not_run_is_refused_by_name(bench: Bench) -> None:
    pool = await bench.open()
    with pytest.raises(EngineError) as refused:
        await pool.send("nobody", OutgoingMessage("m1", "491700000000", "text", text="hi"))
    assert refused.value.code == "not_started"
    await bench.pair("s1")
    with pytest.raises(EngineError) as unknown:
        await pool.simulate("s1", "dance", {})
    assert unknown.value.code == "unknown_action"
    with pytest.raises(EngineError) as wrong:
        await pool.simulate("s1", "message", {"count": "many"})
    assert (wrong.value.code, wrong.value.detail) == (
        "invalid",
        "message: count must be a whole number from 1 to 100000",
    )
    with pytest.raises(EngineError, match="takes no argument colour"):
        await pool.simulate("s1", "drop", {"colour": "red"})

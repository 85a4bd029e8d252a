"""A worker process alone: what it tells a new API process, and what it does when nobody reads or asks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot_service.domain.message import OutgoingMessage
from bot_service.engines.port import EngineError
from bot_service.engines.wire.link import connect
from bot_service.engines.wire.protocol import CommandFrame, Hello, Reply, Snapshot
from bot_service.engines.wire.worker_records import socket_path, stderr_path
from bot_service.engines.worker.error_output import KEPT_BYTES, LIMIT_BYTES, shorten
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


async def test_the_file_of_its_standard_error_stays_short_and_keeps_the_newest(bench: Bench) -> None:
    pool = await bench.open()
    await bench.pair("s1")
    ((worker_id, pid),) = bench.workers().items()
    path = stderr_path(bench.data_dir / "run", worker_id)
    flags = next(line for line in Path(f"/proc/{pid}/fdinfo/2").read_text().splitlines() if line.startswith("flags"))
    assert int(flags.split()[1], 8) & os.O_APPEND, "or a cut would leave a hole up to the old end"
    for number in range(3):
        with path.open("ab") as file:  # as a native thread of the worker would
            file.write(b"y" * LIMIT_BYTES + b"\nlast words %d\n" % number)
        await bench.until(lambda: path.stat().st_size <= 2 * KEPT_BYTES, "the cut")
        await bench.until(
            lambda: path.read_bytes().endswith(b"\nlast words %d\n" % number),  # noqa: B023
            "the newest part",
        )
    assert bench.workers() == {worker_id: pid}
    os.kill(pid, signal.SIGKILL)
    await bench.until(lambda: not path.exists(), "the end of the worker")
    await bench.until_reported("s1", "offline_sync_completed", times=2)
    assert pool.fleet.replaced["crash"] == 1


@pytest.mark.parametrize("size", [0, 1, KEPT_BYTES, LIMIT_BYTES])
def test_a_file_within_the_limit_is_left_alone(tmp_path: Path, size: int) -> None:
    path = tmp_path / "worker-1.stderr"
    assert not shorten(path), "nor is there any file yet"
    path.write_bytes(b"z" * size)
    assert not shorten(path)
    assert path.stat().st_size == size


def test_a_writer_of_native_code_goes_on_at_the_new_end(tmp_path: Path) -> None:
    path = tmp_path / "worker-1.stderr"
    program = "import os, sys\nfor _ in sys.stdin: os.write(2, b'n' * 6_000_000 + b' end\\n'); print(flush=True)"
    with path.open("ab") as errors:
        command = [sys.executable, "-c", program]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            sizes = []
            for _ in range(6):
                child.stdin.write("\n")
                child.stdin.flush()
                child.stdout.readline()
                shorten(path)
                sizes.append(path.stat().st_size)
            child.stdin.close()
    assert max(sizes) <= LIMIT_BYTES
    assert path.read_bytes().endswith(b"n end\n")
    assert b"\0" not in path.read_bytes()

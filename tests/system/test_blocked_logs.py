"""No one reads the log: both programs and their workers go on working, and end when they must."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from shared.loop_guard import EXIT_STALLED
from tests.support import processes
from tests.support.blocked_pipe import PipedProgram, full_pipe
from tests.support.processes import QUICK, Client
from tests.support.sessions import paired, reaches
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]


async def test_a_bot_service_and_its_workers_run_into_a_full_pipe(tmp_path: Path) -> None:
    with full_pipe() as (_, into):
        program = PipedProgram.of(processes.bot(tmp_path, LOG_LEVEL="debug"), into)
        async with program.running(), Client(program.url) as client:
            for name in ("one", "two", "three"):
                await paired(client, name)
            worker = program.worker_pids()[0]
            os.kill(worker, signal.SIGKILL)
            await eventually(lambda: program.worker_pids() not in ([], [worker]), what="another worker")
            for name in ("one", "two", "three"):
                await reaches(client, name, "READY")
            for _ in range(20):
                assert (await client.call("GET", "/api/sessions", Authorization="Bearer wrong"))[0] in (401, 403, 429)
            assert (await client.call("GET", "/health"))[0] == 200
            program.signal(signal.SIGTERM)
            assert await program.exit_code(within_s=30) == 0


async def test_a_watchdog_runs_into_a_full_pipe(tmp_path: Path) -> None:
    with full_pipe() as (reading, into):
        dog = PipedProgram.of(
            processes.watchdog(tmp_path, f"http://127.0.0.1:{processes.free_port()}", LOG_LEVEL="debug", **QUICK), into
        )
        async with dog.running(), Client(dog.url) as client:

            async def pings() -> int:
                _, text = await client.call("GET", "/metrics")
                return sum(
                    int(float(line.split()[-1]))
                    for line in str(text).splitlines()
                    if line.startswith("veilleur_watchdog_pings_total")
                )

            await eventually(lambda: _more_than(pings, 5), what="pings that go on")
            # The pipe moves again: what waited in the buffer arrives.
            received = bytearray()
            os.set_blocking(reading, False)

            def arrived() -> bool:
                try:
                    received.extend(os.read(reading, 65536))
                except BlockingIOError:
                    pass
                return b"Keep-alive" in received

            await eventually(arrived, what="the lines that waited")


async def _more_than(figure: object, least: int) -> bool:
    return bool(await figure() > least)  # type: ignore[operator]


async def test_the_guard_ends_a_program_that_nobody_reads(tmp_path: Path) -> None:
    with full_pipe() as (_, into):
        ordinary = processes.watchdog(
            tmp_path, "http://127.0.0.1:9", LOOP_STALL_DUMP="1000", LOOP_STALL_EXIT="3000", KEEP_ALIVE_ENABLED="false"
        )
        ordinary.module = "tests.support.stalling_watchdog"
        dog = PipedProgram.of(ordinary, into)
        dog.start()
        try:
            assert await dog.exit_code(within_s=60) == EXIT_STALLED
        finally:
            dog.close()


async def test_a_reader_that_is_stopped_holds_nothing_and_gets_the_lines_later(tmp_path: Path) -> None:
    reading, into = os.pipe()
    kept = tmp_path / "kept.log"
    with kept.open("wb") as file:
        reader = subprocess.Popen(["cat"], stdin=reading, stdout=file)
    os.close(reading)
    program = PipedProgram.of(processes.bot(tmp_path, LOG_LEVEL="debug"), into)
    try:
        async with program.running(), Client(program.url) as client:
            reader.send_signal(signal.SIGSTOP)
            for number in range(60):
                await client.post("/api/sessions", {"id": f"quiet-{number}"})
            await paired(client, "one")
            assert b"quiet-59" not in kept.read_bytes()
            reader.send_signal(signal.SIGCONT)
            await eventually(lambda: b"quiet-59" in kept.read_bytes(), what="the lines that waited")
    finally:
        os.close(into)
        reader.send_signal(signal.SIGCONT)
        reader.terminate()
        reader.wait(timeout=30)

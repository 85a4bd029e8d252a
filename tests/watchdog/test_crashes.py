"""``kill -9`` at every step between decision and delivery: every DOWN and every UP arrives, duplicates carry one id."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.receiver import Received, Receiver


class CrashServer:
    """The process of :mod:`tests.watchdog.crash_process`, which forks one watchdog after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, folder: Path, url: str, steps: str, kill_at: int | None = None) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"folder": str(folder), "url": url, "steps": steps, "kill_at": kill_at}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), 100)
        result: dict[str, Any] = json.loads(line)
        return result


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the runs keep their ledgers: in memory if there is such a folder. A kill, unlike a power cut, loses nothing
    that was written, synced or not, so the disk would only cost time."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="veilleur-crashes-", dir=memory) as made:
        yield Path(made)


@pytest.fixture
async def crashes() -> AsyncIterator[CrashServer]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.watchdog.crash_process",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    yield CrashServer(process)
    assert process.stdin is not None
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 60)


def _judge(requests: list[Received], where: str) -> None:
    """Both ends of exactly one incident arrived; one crash may repeat one message, under its id."""
    sent = [(request.json["data"]["id"], request.json["data"]["kind"]) for request in requests]
    by_id = Counter(sent)
    kinds = sorted(kind for _, kind in by_id)
    assert kinds in (["down", "up"], ["was_down"]), f"killed at {where}: {sent}"
    assert len({request.json["data"]["incidentId"] for request in requests}) == 1, f"killed at {where}: {sent}"
    assert len(sent) <= len(by_id) + 1, f"killed at {where}: {sent}"
    bodies = {(request.headers["webhook-id"], request.raw) for request in requests}
    assert len(bodies) == len(by_id), f"killed at {where}: a repeated message differs"
    order = [kind for _, kind in sent]
    assert order == sorted(order), f"killed at {where}: UP before DOWN: {order}"


async def _every_step(crashes: CrashServer, receiver: Receiver, folder: Path, kind: str) -> int:
    (folder / "whole").mkdir()
    whole = await crashes.run(folder / "whole", receiver.url, kind)
    assert whole["code"] == 0
    _judge(receiver.requests, "no step")
    for number in range(1, whole["steps"] + 1):
        receiver.requests.clear()
        run = folder / f"run-{number}"
        run.mkdir()
        killed = await crashes.run(run, receiver.url, kind, number)
        where = f"step {number}, {whole['names'][number - 1]}"
        # Threads do not take their turns in the same order every time: a run may have a few steps less.
        assert killed["code"] in (-signal.SIGKILL, 0), where
        if killed["code"] != 0:
            assert (await crashes.run(run, receiver.url, "none"))["code"] == 0, where
        _judge(receiver.requests, where)
        shutil.rmtree(run)
    return int(whole["steps"])


@pytest.mark.long
@pytest.mark.deep
async def test_kill_9_at_every_sql_statement_and_around_every_send_loses_nothing(
    crashes: CrashServer, receiver: Receiver, folder: Path
) -> None:
    steps = await _every_step(crashes, receiver, folder, "statements")
    print(f"killed at each of {steps} steps")
    assert steps > 40


@pytest.mark.system
@pytest.mark.timeout(900)
@pytest.mark.long
@pytest.mark.deep
async def test_kill_9_at_every_line_of_our_code_loses_nothing(
    crashes: CrashServer, receiver: Receiver, folder: Path
) -> None:
    steps = await _every_step(crashes, receiver, folder, "lines")
    print(f"killed at each of {steps} lines")
    assert steps > 200


@pytest.mark.parametrize("kind", ["down", "up"])
async def test_kill_9_while_the_receiver_has_the_message_but_has_not_answered_repeats_it_with_its_id(
    crashes: CrashServer, receiver: Receiver, folder: Path, kind: str
) -> None:
    server = crashes._process.pid
    killed: list[int] = []

    def kill_the_sender(got: Received) -> tuple[int, Any, dict[str, str]]:
        if got.json["data"]["kind"] == kind and not killed:
            children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
            killed.extend(int(pid) for pid in children)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        return 200, {}, {}

    receiver.answer = kill_the_sender
    first = await crashes.run(folder, receiver.url, "statements")
    assert first["code"] == -signal.SIGKILL
    assert (await crashes.run(folder, receiver.url, "statements"))["code"] == 0
    assert [request.json["data"]["kind"] for request in receiver.requests].count(kind) == 2
    _judge(receiver.requests, f"the receipt of {kind}")

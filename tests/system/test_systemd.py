"""Both programs under a test that plays systemd: ready when they listen, alive while the loop turns, stopping when asked."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import WATCHDOG_TOKEN, Program
from tests.support.service_manager import NotifySocket, program
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.deep]
PERIOD_S = 2.0


def under_systemd(name: str, tmp_path: Path, notify: NotifySocket, **env: str) -> Program:
    given = {
        "PORT": str(free_port()), "NOTIFY_SOCKET": notify.address, "WATCHDOG_USEC": str(int(PERIOD_S * 1e6)),
        "WATCHDOG_TOKEN": WATCHDOG_TOKEN, "ENGINE": "simulator", "LOG_FORMAT": "json", "WHATSAPP_VERSION": "builtin", **env,
    }  # fmt: skip
    made = program(name, tmp_path, tmp_path / f"{name}.log", **given)
    # A child of this process, whose stop can be waited for.
    made.own_interpreter = True
    return made


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def ready(started: Program, notify: NotifySocket) -> None:
    def is_ready() -> bool:
        assert started.process is not None
        assert started.process.poll() is None, started.output()
        return notify.count("READY=1") == 1

    await eventually(is_ready, every_s=0.02, what="READY=1")


@pytest.mark.parametrize("name", ["bot", "watchdog"])
async def test_ready_alive_hung_alive_again_and_stopping(name: str, tmp_path: Path) -> None:
    with NotifySocket(tmp_path / "notify") as notify:
        started = under_systemd(name, tmp_path, notify)
        started.start()
        try:
            await ready(started, notify)
            # Answered at once: READY=1 means that requests are answered, not only that the port is bound.
            await started.ready(within_s=5.0)
            assert f"READY=1\nSTATUS=Listening on port {started.port}" in notify.texts()
            signs = notify.count("WATCHDOG=1")
            await eventually(
                lambda: notify.count("WATCHDOG=1") >= signs + 5, every_s=0.02, what="five more signs of life"
            )
            at = notify.times("WATCHDOG=1")[-5:]
            assert max(later - earlier for earlier, later in pairwise(at)) < PERIOD_S

            started.signal(signal.SIGSTOP)
            await asyncio.to_thread(os.waitid, os.P_PID, started.pid, os.WSTOPPED | os.WNOWAIT)
            notify.texts()  # what it sent before
            hung = time.monotonic()
            await eventually(lambda: time.monotonic() - hung > 2 * PERIOD_S, every_s=0.05, what="two silent periods")
            assert notify.count("WATCHDOG=1", since=hung) == 0
            started.signal(signal.SIGCONT)
            await eventually(lambda: notify.count("WATCHDOG=1", since=hung) >= 2, what="signs of life again")
            assert notify.count("STOPPING=1") == 0

            started.signal(signal.SIGTERM)
            assert await started.exit_code() == 0
        finally:
            started.close()
        assert notify.texts().count("STOPPING=1\nSTATUS=Stopping") == 1
        assert notify.count("READY=1") == 1
        assert not listens(started.port)


async def test_a_loop_that_hangs_while_threads_run_sends_no_sign_of_life(tmp_path: Path) -> None:
    from shared.loop_guard import LoopGuard
    from shared.service_manager import NotifySettings, ServiceManager

    with NotifySocket(tmp_path / "notify", abstract=True) as notify:
        manager = ServiceManager(NotifySettings(address=notify.address, watchdog_us=90_000))
        guard = LoopGuard(stamp_s=0.01)
        guard.turned.subscribe(manager.alive)
        guard.start()
        await eventually(lambda: notify.count("WATCHDOG=1") >= 3, every_s=0.01, what="signs of life")
        hung = time.monotonic()
        time.sleep(0.3)  # noqa: ASYNC251 - the loop hangs, the guard's thread runs
        assert notify.count("WATCHDOG=1", since=hung) == 0
        await eventually(lambda: notify.count("WATCHDOG=1", since=hung) >= 1, every_s=0.01, what="a sign of life again")
        guard.stop()
        manager.close()


def test_without_systemd_or_for_another_process_nothing_is_sent(tmp_path: Path) -> None:
    from shared.service_manager import NotifySettings, ServiceManager

    silent = ServiceManager(NotifySettings())
    silent.ready("Listening")
    silent.alive()
    silent.close()
    with NotifySocket(tmp_path / "notify") as notify:
        other = ServiceManager(NotifySettings(address=notify.address, watchdog_us=1_000_000, watchdog_pid=os.getppid()))
        other.alive()
        assert notify.texts() == []
        other.stopping()
        assert notify.texts() == ["STOPPING=1\nSTATUS=Stopping"]
        other.close()
    # The socket is gone: a program that runs on must not end for that.
    gone = ServiceManager(NotifySettings(address=notify.address))
    gone.ready("Listening")
    gone.close()


async def test_wrong_settings_end_with_the_code_that_the_unit_does_not_restart(tmp_path: Path) -> None:
    from tests.support.service_manager import unit

    with NotifySocket(tmp_path / "notify") as notify:
        started = under_systemd("bot", tmp_path, notify, ENGINE="foo")
        started.start()
        try:
            code = await started.exit_code()
        finally:
            started.close()
        assert str(code) == unit("bot")["RestartPreventExitStatus"]
        assert notify.texts() == []

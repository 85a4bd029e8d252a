"""The local run: both programs, the right ports, one signal to stop, restart after a crash."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import aiohttp
import pytest

from shared.file_lock import is_locked
from shared.tools import local_run
from shared.tools.local_run import Program, programs, run
from tests.support.processes import ROOT, free_port
from tests.support.waiting import eventually

# Writes its pid, then waits for SIGTERM and leaves a mark when it gets it.
CHILD = """
import os, pathlib, signal, sys, time
mark = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (mark.with_suffix('.stopped').touch(), sys.exit(0)))
with mark.open('a') as file: file.write(f'{os.getpid()}\\n')
deadline = time.monotonic() + 240
while time.monotonic() < deadline: time.sleep(0.01)
"""


def child(mark: Path, code: str = CHILD) -> Program:
    return Program(name=mark.name, command=(sys.executable, "-c", code, str(mark)), environ=dict(os.environ))


async def pids(mark: Path, count: int) -> list[int]:
    """The pids that children with this mark have written, once there are ``count`` of them."""
    found: list[int] = []
    for _ in range(6000):
        found = lines(mark)
        if len(found) >= count:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"only {found} started")


def lines(mark: Path) -> list[int]:
    return [int(line) for line in mark.read_text().splitlines()] if mark.exists() else []


def test_the_watchdog_pings_the_port_that_the_bot_listens_on() -> None:
    bot, watchdog = programs({"PORT": "4000", "WATCHDOG_PORT": "4001", "ENGINE": "simulator"})

    assert (bot.environ["PORT"], watchdog.environ["PORT"]) == ("4000", "4001")
    assert watchdog.environ["BOT_URL"] == "http://127.0.0.1:4000"
    assert bot.environ["ENGINE"] == "simulator"


def test_addresses_that_are_given_are_kept() -> None:
    one = programs({"BOT_URL": "http://elsewhere:1"})[1]
    several = programs({"BOT_URLS": "http://a:1,http://b:2"})[1]

    assert one.environ["BOT_URL"] == "http://elsewhere:1"
    assert "BOT_URL" not in several.environ


def test_a_wrong_port_ends_with_exit_code_2_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        programs({"PORT": "many", "WATCHDOG_PORT": "0"})

    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert "PORT: got 'many'" in shown
    assert "WATCHDOG_PORT: got '0'" in shown


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
async def test_one_signal_stops_both_programs_and_the_run_ends_with_0(tmp_path: Path, sent: signal.Signals) -> None:
    marks = [tmp_path / "a", tmp_path / "b"]
    running = asyncio.create_task(run([child(mark) for mark in marks]))
    for mark in marks:
        await pids(mark, 1)

    os.kill(os.getpid(), sent)

    assert await asyncio.wait_for(running, 60) == 0
    assert all(mark.with_suffix(".stopped").exists() for mark in marks)


async def test_a_killed_program_is_started_again_and_the_other_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_run, "RESTART_DELAY_S", 0.01)
    one, other = tmp_path / "a", tmp_path / "b"
    running = asyncio.create_task(run([child(one), child(other)]))
    [first] = await pids(one, 1)
    await pids(other, 1)

    os.kill(first, signal.SIGKILL)

    assert len(await pids(one, 2)) == 2
    assert len(await pids(other, 1)) == 1
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 60) == 0


async def test_a_program_that_refuses_its_configuration_stops_the_other(tmp_path: Path) -> None:
    stays = tmp_path / "a"
    refuses = child(tmp_path / "b", "raise SystemExit(2)")

    assert await asyncio.wait_for(run([child(stays), refuses]), 60) == 2


async def test_a_program_that_ignores_the_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_run, "STOP_WITHIN_S", 0.2)
    deaf = CHILD.replace("signal.signal(signal.SIGTERM, lambda *_: (mark.with_suffix('.stopped').touch(), sys.exit(0)))",
                         "signal.signal(signal.SIGTERM, signal.SIG_IGN)")  # fmt: skip
    running = asyncio.create_task(run([child(tmp_path / "a", deaf)]))
    [pid] = await pids(tmp_path / "a", 1)

    os.kill(os.getpid(), signal.SIGTERM)

    assert await asyncio.wait_for(running, 60) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# --- the whole run, as ``make up`` starts it ---


class LocalRun:
    """``python -m shared.tools.local_run`` with a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bot, self.watchdog = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.terminal = -1

    def start(self) -> None:
        self.terminal, other = os.openpty()
        env = {
            **os.environ, "PORT": str(self.bot), "WATCHDOG_PORT": str(self.watchdog), "DATA_DIR": str(self.folder / "data"),
            "ENGINE": "simulator", "HOST": "127.0.0.1", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", START_WITH_TERMINAL], cwd=self.folder, env=env,
            stdin=other, stdout=other, stderr=other, start_new_session=True,
        )  # fmt: skip
        os.close(other)
        threading.Thread(target=self._read, args=(self.terminal,), daemon=True).start()

    def _read(self, terminal: int) -> None:
        with contextlib.suppress(OSError):
            while os.read(terminal, 65536):
                pass

    async def answers(self) -> None:
        async with aiohttp.ClientSession() as http:

            async def well() -> bool:
                assert self.process is not None
                assert self.process.poll() is None, "it ended"
                for port in (self.bot, self.watchdog):
                    async with http.get(f"http://127.0.0.1:{port}/livez", timeout=aiohttp.ClientTimeout(2)) as answer:
                        if answer.status != 200:
                            return False
                return True

            async def tried() -> bool:
                try:
                    return await well()
                except aiohttp.ClientError:
                    return False

            await eventually(tried, every_s=0.1, what="both programs answering")

    async def is_over(self) -> None:
        """Both programs and the workers are gone, and both ports are free."""
        locks = [self.folder / "data" / name for name in ("bot.lock", "watchdog.db.lock", "local-run.lock")]
        await eventually(lambda: not any(map(is_locked, locks)), every_s=0.1, what="both programs ending")
        for port in (self.bot, self.watchdog):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0


START_WITH_TERMINAL = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv = ["local_run"]
runpy.run_module("shared.tools.local_run", run_name="__main__")
"""


@pytest.mark.parametrize("harm", ["terminal closed", signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL])
async def test_however_the_run_ends_both_programs_end_and_the_next_start_works(
    tmp_path: Path, harm: signal.Signals | str
) -> None:
    run = LocalRun(tmp_path)
    run.start()
    assert run.process is not None
    try:
        await run.answers()
        if isinstance(harm, str):
            os.close(run.terminal)
            run.terminal = -1
        else:
            run.process.send_signal(harm)
        if harm is signal.SIGKILL:
            await asyncio.to_thread(run.process.wait, 60)
            run.start()  # at once, while the programs still stop
            await run.answers()
            run.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(run.process.wait, 60)
        else:
            assert await asyncio.to_thread(run.process.wait, 60) == 0
        await run.is_over()
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(run.process.wait, 60)
        if run.terminal >= 0:
            os.close(run.terminal)

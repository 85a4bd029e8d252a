"""The local run: both programs, the right ports, one signal to stop, restart after a crash."""

import asyncio
import contextlib
import os
import re
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
from tests.support.members import members
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


def local_run_ends(tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """The real local run, which ends by itself."""
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path / "data"), **env}
    command = [sys.executable, "-m", "shared.tools.local_run"]
    return subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.system
def test_the_wrong_settings_of_both_programs_are_reported_at_once(tmp_path: Path) -> None:
    ended = local_run_ends(
        tmp_path, KEEP_ALIVE_INTERVAL="banana", SESSION_MAX_AGE="-1", ENGINE="foo", PORT=str(free_port()),
        WATCHDOG_PORT=str(free_port()),
    )  # fmt: skip
    assert ended.returncode == 2
    for shown in ("KEEP_ALIVE_INTERVAL: got 'banana'", "SESSION_MAX_AGE: got '-1'", "ENGINE: got 'foo'"):
        assert ended.stderr.count(shown) == 1, ended.stderr
    assert "Server running" not in ended.stdout


@pytest.mark.system
def test_a_wrong_setting_of_one_program_is_reported_once_and_the_other_has_none(tmp_path: Path) -> None:
    ended = local_run_ends(
        tmp_path, ENGINE="foo", HOST="127.0.0.1", PORT=str(free_port()), WATCHDOG_PORT=str(free_port())
    )
    assert ended.returncode == 2
    assert ended.stderr.count("Configuration error") == 1, ended.stderr


@pytest.mark.parametrize("variable", ["PORT", "WATCHDOG_PORT"])
def test_a_port_in_use_is_named_by_the_variable_that_sets_it(tmp_path: Path, variable: str) -> None:
    ports = {"PORT": str(free_port()), "WATCHDOG_PORT": str(free_port())}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(ports[variable])))
        taken.listen()
        ended = local_run_ends(tmp_path, HOST="127.0.0.1", **ports)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"Port {ports[variable]} is already in use by another program: stop it or set {variable} to another one"
    ]


# --- the whole run, as ``make up`` starts it ---


class LocalRun:
    """``python -m shared.tools.local_run`` with a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bot, self.watchdog = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.terminal = -1
        self.shown = bytearray()

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
            while part := os.read(terminal, 65536):
                self.shown += part

    def lines(self) -> list[str]:
        """What the terminal shows, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.shown.decode(errors="replace")).splitlines()

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


@pytest.mark.system
async def test_a_terminal_shows_one_format_the_name_of_each_program_and_a_box_at_the_end(tmp_path: Path) -> None:
    run = LocalRun(tmp_path)
    run.start()
    assert run.process is not None
    try:
        await run.answers()
        await eventually(lambda: any("/login?code=" in line for line in run.lines()), what="the box")
        key = (tmp_path / "data" / "secrets" / "bot-api-key").read_text()
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{run.bot}", headers={"Authorization": f"Bearer {key}"}
        ) as http:
            async with http.post("/api/sessions", json={"id": "bob"}) as answer:
                assert answer.status == 201
            await eventually(lambda: any(line.startswith("worker ") for line in run.lines()), what="a worker's line")
        run.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(run.process.wait, 60) == 0
        lines = run.lines()
    finally:
        if run.process.poll() is None:
            run.process.kill()
            await asyncio.to_thread(run.process.wait, 60)
    begin, end = (number for number, line in enumerate(lines) if line.startswith("────"))
    box = [line.strip() for line in lines[begin + 1 : end]]
    assert lines[0] == f"[local run] starting the bot service on port {run.bot} and the watchdog on port {run.watchdog}"
    assert any(re.fullmatch(rf"Dashboard +http://localhost:{run.bot}/login\?code=\S+", line) for line in box)
    assert f"Status page   http://localhost:{run.watchdog}" in box
    assert f"API           http://localhost:{run.bot}/docs" in box
    assert "Stop          Ctrl-C where make up runs" in box
    others = [line for line in lines[1:begin] + lines[end + 1 :] if line]
    assert [line for line in others if not re.match(r"(bot     |watchdog|worker  ) \| ", line)] == []
    assert any(line.startswith("bot      | ") and "Server running on port" in line for line in lines[:begin])


@pytest.mark.parametrize("harm", members(["terminal closed", signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT]))
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

"""The local run: both programs, the right ports, one signal to stop, restart after a crash."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from shared.tools import local_run
from shared.tools.local_run import Program, programs, run

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


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
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

"""A program that the start server forks ends, prints and obeys as one that was started in an interpreter of its own."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import Program, bot, watchdog

pytestmark = pytest.mark.system


def both_ways(tmp_path: Path, module: str, *arguments: str, **env: str) -> list[Program]:
    """The same program forked, and in an interpreter of its own."""
    made = []
    for own in (False, True):
        name = "own" if own else "forked"
        program = (
            bot(tmp_path, name=name) if module == "bot_service" else watchdog(tmp_path, "http://127.0.0.1:9", name=name)
        )
        program.env.update(DATA_DIR="data", **env)
        program.cwd = tmp_path / name
        program.cwd.mkdir()
        program.arguments, program.own_interpreter = arguments, own
        made.append(program)
    return made


@pytest.mark.parametrize("module", ["bot_service", "watchdog"])
async def test_settings_are_refused_in_the_same_words(tmp_path: Path, module: str) -> None:
    forked, own = both_ways(tmp_path, module, "--check-settings", PORT="none", WATCHDOG_TOKEN="short")
    for program in (forked, own):
        program.start()
        assert await program.exit_code() == 2
        assert not isinstance(program.process, subprocess.Popen) or program is own
    assert forked.output() == own.output()
    assert "PORT" in own.output()


async def test_folder_environment_and_signals_are_those_of_its_start(tmp_path: Path) -> None:
    for program in both_ways(tmp_path, "watchdog"):
        for number, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
            program.start()
            try:
                await program.ready()
                assert Path(f"/proc/{program.pid}/cwd").resolve() == program.cwd
                assert (program.cwd / "data/watchdog.db").exists()
                program.signal(number)
                assert await program.exit_code() == code
            finally:
                program.close()


async def test_what_python_reads_at_its_start_gets_an_interpreter_of_its_own(tmp_path: Path) -> None:
    program = watchdog(tmp_path, "http://127.0.0.1:9", PYTHONWARNINGS="error")
    program.arguments = ("--check-settings",)
    program.start()
    assert await program.exit_code() == 0
    assert isinstance(program.process, subprocess.Popen)

"""A fresh clone of the project and a shell in it, for the tests that type what the documents say."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.docs.reader_shell import IN_A_NETWORK
from tests.support.processes import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project as a fresh clone whose environment is installed: nothing is written into the real one."""
    folder = tmp_path / "veilleur"
    folder.mkdir()
    for name in ("bot_service", "watchdog", "shared", "Makefile", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    commands = {"python": sys.executable, "veilleur": f"{sys.executable} -m shared.tools.cli.main", "pip": "true"}
    for name, command in commands.items():
        (programs / name).write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {command} "$@"\n')
        (programs / name).chmod(0o755)
    (folder / ".venv" / ".runs").touch()
    return folder


@pytest.fixture
async def shell(clone: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A shell in that clone, in a network with nothing but loopback, with the programs of the clone on its path."""
    environment = {
        "PATH": f"{clone / '.venv/bin'}:{os.environ['PATH']}",
        "HOME": str(clone),
        "ENGINE": "simulator",
        "LOG_FORMAT": "json",
        "KEEP_ALIVE_START_DELAY": "100",
    }
    process = await asyncio.create_subprocess_exec(
        *IN_A_NETWORK, "sh", cwd=clone, env=environment, start_new_session=True,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    yield process
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

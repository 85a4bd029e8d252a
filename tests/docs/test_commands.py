"""Runs the commands of the README and of the first steps in a network namespace; parses all other commands."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.tools.cli.commands import app
from tests.docs.commands import Command, blocks, inline
from tests.support.processes import ROOT
from tests.support.waiting import eventually

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A reader types these one after the other, in one shell.
RUN = [ROOT / "README.md", ROOT / "docs" / "getting-started.md"]
# And these afterwards: the first block while both programs run, the second when they have been stopped.
UPGRADE, FROM_SOURCE = ROOT / "docs" / "upgrade.md", "## From source, with make up"
# Its own process ids too: whatever a command leaves behind ends with the shell.
IN_A_NETWORK = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def has_networks() -> bool:
    """Whether this machine lets a test have a network of its own, where ports 3000 and 3001 are free."""
    if shutil.which("unshare") is None or shutil.which("curl") is None:
        return False
    return subprocess.run([*IN_A_NETWORK, "true"], capture_output=True, check=False).returncode == 0


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


async def run(shell: asyncio.subprocess.Process, command: str, *, within_s: float = 120.0) -> tuple[int, str]:
    """(exit code, output) of one command typed into the shell."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f'{command}\necho "\n@@ $?"\n'.encode())
    await shell.stdin.drain()
    said = ""
    async with asyncio.timeout(within_s):
        while True:
            line = (await shell.stdout.readline()).decode(errors="replace")
            assert line, f"the shell ended at {command!r}:\n{said}"
            if line.startswith("@@ "):
                return int(line.split()[1]), said
            said += line


async def scanned(shell_pid: int, session: str, clone: Path) -> None:
    """Scans the code of ``session`` from inside the same network, as a person with a phone does."""
    script = (
        f'curl -fsS -H "Authorization: Bearer $(cat data/secrets/bot-api-key)" '
        f'localhost:3000/api/sessions/{session}/simulate --json \'{{"action": "scan"}}\''
    )

    async def scan() -> bool:
        process = await asyncio.create_subprocess_exec(
            "nsenter", "--net", "--target", str(shell_pid), "sh", "-c", script, cwd=clone,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return await process.wait() == 0

    await eventually(scan, every_s=0.5, what=f"a phone that scans {session}")


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.skipif(not has_networks(), reason="needs curl and unshare --net with root or user namespaces (.ci/run has them)")
async def test_the_commands_of_the_first_steps_work_as_written(shell: asyncio.subprocess.Process, clone: Path) -> None:
    code, said = await run(shell, "ip link set lo up")
    assert code == 0, said
    ran = []
    for command in (each for path in RUN for block in blocks(path) for each in block if not each.needs):
        if command.text == "make up":
            # In the background, as a second terminal would have it.
            await run(shell, "make up > up.log 2>&1 &\nUP=$!")
            code, said = await run(
                shell, "for i in $(seq 300); do curl -fs localhost:3001/health && break; sleep 0.2; done"
            )
            assert code == 0, (clone / "up.log").read_text()
            await printed(clone)
        elif command.text.split()[1:3] == ["sessions", "qr"]:
            session = command.text.split()[3]
            (code, said), _ = await asyncio.gather(run(shell, command.text), scanned(shell.pid, session, clone))
            assert code == 0, said
            assert "Paired" in said
        else:
            code, said = await run(shell, command.text)
            assert code == 0, f"{command.text}: exit code {code}\n{said}\n{(clone / 'up.log').read_text()[-2000:]}"
        ran.append(command.text)
    running, stopped = blocks(UPGRADE, FROM_SOURCE)
    for command in running:
        code, said = await run(shell, command.text)
        assert code == 0, f"{command.text}: exit code {code}\n{said}"
    code, said = await run(shell, "kill -TERM $UP; wait $UP; sleep 0; grep -c Stopped up.log")
    assert said.strip().endswith("2"), (said, (clone / "up.log").read_text()[-2000:])
    (clone / "data").rename(clone / "data.newer")
    for command in stopped:
        code, said = await run(shell, command.text)
        assert code == 0, f"{command.text}: exit code {code}\n{said}"
    for name in ("bot.db", "watchdog.db", "secrets/bot-api-key"):
        assert (clone / "data" / name).exists(), name
    assert sum("curl" in text for text in ran) >= 8
    assert any(text.startswith("make up") for text in ran)


async def printed(clone: Path) -> None:
    """``make up`` prints the dashboard's address with a link that signs in once."""
    await eventually(
        lambda: "http://localhost:3000/login?code=" in (clone / "up.log").read_text(), what="the printed login link"
    )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_are_not_run_here_are_at_least_a_shells(path: Path) -> None:
    for block in blocks(path):
        for command in block:
            checked = subprocess.run(["sh", "-n", "-c", command.text], capture_output=True, text=True, check=False)
            assert checked.returncode == 0, (command.text, checked.stderr)


def test_every_command_is_run_here_or_says_what_it_needs() -> None:
    """Every command outside RUN needs something that a test machine does not have."""
    unexplained = [
        command.text
        for path in DOCUMENTS
        if path not in RUN
        for block in blocks(path)
        for command in block
        if not command.needs
    ]
    assert unexplained == [command.text for block in blocks(UPGRADE, FROM_SOURCE) for command in block]


def words_of(text: str) -> list[str]:
    """``veilleur sessions qr alice`` as its command words: those that are no option, value or example."""
    return [word for word in shlex.split(text.replace("…", ""), comments=True)[1:] if not word.startswith("-")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_veilleur_command_that_a_document_names_exists(path: Path) -> None:
    import typer.main

    root = typer.main.get_command(app)
    named = [*inline(path), *_inside_blocks(path)]
    for text in named:
        words = words_of(text)
        command = root
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, f"{path.name}: {text}"
            command = command.commands[words.pop(0)]


def _inside_blocks(path: Path) -> list[str]:
    lines: list[Command] = [command for block in blocks(path) for command in block]
    return [
        f"veilleur {found[1].partition('#')[0]}"
        for line in lines
        if (found := re.search(r"(?:^|[\s(]|/bin/)veilleur ([a-z].*)", line.text))
    ]

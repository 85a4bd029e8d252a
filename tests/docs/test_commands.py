"""Runs the commands of the README and of the first steps in a network namespace; parses all other commands."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from shared.tools.cli.commands import app
from tests.docs.commands import Command, blocks, inline
from tests.docs.reader_shell import NEEDS_A_NETWORK, run, scanned, started, stopped
from tests.support.processes import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A reader types these one after the other, in one shell.
RUN = [ROOT / "README.md", ROOT / "docs" / "getting-started.md"]
# And these afterwards: the first block while both programs run, the second when they have been stopped.
UPGRADE, FROM_SOURCE = ROOT / "docs" / "upgrade.md", "## From source, with make up"
# By a test of its own (test_tutorial.py).
TUTORIAL = ROOT / "docs" / "tutorial.md"


@pytest.mark.system
@pytest.mark.timeout(300)
@NEEDS_A_NETWORK
async def test_the_commands_of_the_first_steps_work_as_written(shell: asyncio.subprocess.Process, clone: Path) -> None:
    code, said = await run(shell, "ip link set lo up")
    assert code == 0, said
    ran = []
    for command in (each for path in RUN for block in blocks(path) for each in block if not each.needs):
        if command.text == "make up":
            await started(shell, command.text, clone)
        elif command.text.split()[1:3] == ["sessions", "qr"]:
            session = command.text.split()[3]
            (code, said), _ = await asyncio.gather(run(shell, command.text), scanned(shell.pid, session, clone))
            assert code == 0, said
            assert "is linked" in said
        else:
            code, said = await run(shell, command.text)
            assert code == 0, f"{command.text}: exit code {code}\n{said}\n{(clone / 'up.log').read_text()[-2000:]}"
        ran.append(command.text)
    while_running, when_stopped = blocks(UPGRADE, FROM_SOURCE)
    for command in while_running:
        code, said = await run(shell, command.text)
        assert code == 0, f"{command.text}: exit code {code}\n{said}"
    await stopped(shell, clone)
    (clone / "data").rename(clone / "data.newer")
    for command in when_stopped:
        code, said = await run(shell, command.text)
        assert code == 0, f"{command.text}: exit code {code}\n{said}"
    for name in ("bot.db", "watchdog.db", "secrets/bot-api-key"):
        assert (clone / "data" / name).exists(), name
    assert sum("curl" in text for text in ran) >= 8
    assert any(text.startswith("make up") for text in ran)


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
        if path not in (*RUN, TUTORIAL)
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

"""The commands of the systemd guide and of its upgrade, run by root on a machine that exists only for this test."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.docs.commands import Command, blocks
from tests.docs.reader_shell import run
from tests.support import systemctl
from tests.support.processes import ROOT

GUIDE, UPGRADE = ROOT / "docs" / "systemd.md", ROOT / "docs" / "upgrade.md"
# Own users, folders, units and ports; whatever a command leaves behind ends with the shell.
MACHINE = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
# They need a package index, a remote repository, or systemd's journal.
NOT_RUN = ("make", "git", "journalctl")
PREPARED = f"""
set -e
ip link set lo up
mount -t tmpfs tmpfs /mnt
cp -a /etc /mnt/etc
mount --bind /mnt/etc /etc
# The interpreter may be in one of the folders that are replaced.
mkdir -p /mnt/python
mount --bind {sys.base_prefix} /mnt/python
for folder in /var/lib /root /opt /run; do mount -t tmpfs -o mode=0755 tmpfs $folder; done
if [ ! -d {sys.base_prefix} ]; then mkdir -p {sys.base_prefix}; mount --bind /mnt/python {sys.base_prefix}; fi
mkdir -p /opt/veilleur /etc/systemd/system
rm -f /etc/systemd/system/veilleur-*
mount --bind {ROOT} /opt/veilleur
cd /
set +e
"""
KEY = "Authorization: Bearer $(cat /var/lib/veilleur/secrets/bot-api-key)"


def why_not() -> str | None:
    """Why this machine cannot play another one; None when it can."""
    if os.geteuid() != 0 or not (ROOT / ".venv" / "bin" / "python").exists():
        return "needs root and the environment of `make venv` (.ci/run has both)"
    tried = subprocess.run([*MACHINE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "needs mount and network namespaces (.ci/run has them)"


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A root shell on that machine, with a systemctl that starts what the units say."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    command = tmp_path / "systemctl"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P {systemctl.__file__} "$@"\n')
    command.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        *MACHINE, "sh", cwd="/", env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/root"}, start_new_session=True,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    yield process
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def typed(shell: asyncio.subprocess.Process, text: str) -> str:
    """The output of a command; asserts that it succeeds."""
    code, said = await run(shell, text)
    assert code == 0, f"{text}: exit code {code}\n{said}"
    return said


async def follow(shell: asyncio.subprocess.Process, commands: list[Command]) -> list[str]:
    """Runs the commands of a block in order; returns those that were run."""
    ran = []
    for command in commands:
        if command.text.startswith(NOT_RUN):
            continue
        await typed(shell, command.text)
        ran.append(command.text)
        if command.text.endswith(" /etc/veilleur"):
            # What a reader writes there for a trial, and so that nothing outside is asked.
            await typed(shell, "printf 'ENGINE=simulator\\nWHATSAPP_VERSION=builtin\\n' > /etc/veilleur/bot.env")
    return ran


@pytest.mark.system
@pytest.mark.timeout(400)
async def test_install_use_upgrade_and_go_back_as_the_guides_say(shell: asyncio.subprocess.Process) -> None:
    await typed(shell, PREPARED)
    install, _journal, use = blocks(GUIDE)
    ran = await follow(shell, install)
    assert ran[-1].startswith("systemctl enable --now")
    # Not as root, and nothing that others can read.
    owners = await typed(shell, "stat -c '%U %a %n' /var/lib/veilleur/*")
    assert set(owners.split("\n")[:3]) == {
        f"veilleur 700 /var/lib/veilleur/{name}" for name in ("bot", "watchdog", "secrets")
    }
    assert "veilleur" in await typed(shell, "ps -o user= -p $(cat /run/units/veilleur-bot.pid)")
    await typed(shell, f"curl -fsS -H \"{KEY}\" localhost:3000/api/sessions --json '{{\"id\": \"before\"}}'")
    said = ""
    for command in use:
        said += await typed(shell, command.text)
    assert "running for" in said
    assert "before" in said

    upgrade, back = blocks(UPGRADE, "## systemd")
    assert (await follow(shell, upgrade))[-1] == "systemctl restart veilleur-bot veilleur-watchdog"
    await typed(shell, f"curl -fsS -H \"{KEY}\" localhost:3000/api/sessions --json '{{\"id\": \"after\"}}'")
    assert (await follow(shell, back))[-1] == "systemctl start veilleur-bot veilleur-watchdog"
    listed = await typed(shell, use[-1].text)
    assert "before" in listed
    assert "after" not in listed
    await typed(shell, "systemctl stop veilleur-bot veilleur-watchdog")
    assert "Stopped" in await typed(shell, "tail -n 1 /run/units/veilleur-bot.log")

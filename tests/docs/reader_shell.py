"""A reader of the documents: a shell in a fresh clone, in a network of its own, into which commands are typed."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.waiting import eventually

# Its own process ids too: whatever a command leaves behind ends with the shell.
IN_A_NETWORK = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def has_networks() -> bool:
    """Whether this machine lets a test have a network of its own, where ports 3000 and 3001 are free."""
    if shutil.which("unshare") is None or shutil.which("curl") is None:
        return False
    return subprocess.run([*IN_A_NETWORK, "true"], capture_output=True, check=False).returncode == 0


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


async def printed(clone: Path) -> None:
    """``make up`` prints the dashboard's address with a link that signs in once."""
    await eventually(
        lambda: "http://localhost:3000/login?code=" in (clone / "up.log").read_text(), what="the printed login link"
    )


NEEDS_A_NETWORK = pytest.mark.skipif(
    not has_networks(), reason="needs curl and unshare --net with root or user namespaces (.ci/run has them)"
)


async def started(shell: asyncio.subprocess.Process, command: str, clone: Path) -> None:
    """``make up`` in the background, as a second terminal would have it, once both programs answer."""
    await run(shell, f"{command} > up.log 2>&1 &\nUP=$!")
    code, _ = await run(shell, "for i in $(seq 300); do curl -fs localhost:3001/health && break; sleep 0.2; done")
    assert code == 0, (clone / "up.log").read_text()
    await printed(clone)


async def stopped(shell: asyncio.subprocess.Process, clone: Path) -> None:
    """Ctrl-C in the first terminal; both programs end in order."""
    _, said = await run(shell, "kill -TERM $UP; wait $UP; sleep 0; grep -c Stopped up.log")
    assert said.strip().endswith("2"), (said, (clone / "up.log").read_text()[-2000:])

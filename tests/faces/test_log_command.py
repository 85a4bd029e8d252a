"""``veilleur logs`` and its routes, against both running programs."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faces.test_cli import Terminal, both, terminal
from tests.support.processes import API_KEY, ROOT, WATCHDOG_TOKEN, Client, Program
from tests.support.waiting import eventually

__all__ = ["both", "terminal"]
pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


class Following:
    """``veilleur logs --follow`` as it runs."""

    def __init__(self, terminal: Terminal, *arguments: str) -> None:
        self._terminal, self._arguments = terminal, arguments
        self.lines: list[dict[str, Any]] = []
        self.errors = b""

    async def __aenter__(self) -> Following:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shared.tools.cli.main", "logs", "--follow", "--json", *self._arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env=self._terminal.environ,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(json.loads(line))

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stderr is not None
        self._process.terminate()
        self.errors = await self._process.stderr.read()
        await self._reading
        await self._process.wait()

    def has(self, event: str, **fields: str) -> bool:
        return any(line.get("event") == event and fields.items() <= line.items() for line in self.lines)


@pytest.mark.long
async def test_the_log_of_both_programs_is_shown_filtered_and_followed_over_a_restart(
    terminal: Terminal, both: tuple[Program, Program], tmp_path: Path
) -> None:
    bot, _ = both
    await _only_administrators_and_operators_read_it_and_bad_questions_are_named(both)
    async with (
        Following(terminal, "--limit", "1000") as everything,
        Following(terminal, "--session", "alice", "--limit", "0") as of_alice,
    ):
        await eventually(lambda: everything.has("keepalive.started", program="watchdog"), what="the watchdog's line")
        await terminal.json("sessions", "create", "alice")
        await terminal.json("sessions", "create", "bob")
        await eventually(lambda: everything.has("session.state", session="bob"), what="a line about bob")
        # The engine runs in a process of its own.
        await eventually(lambda: everything.has("worker.started", program="worker"), what="the line of a worker")
        await eventually(lambda: bool(of_alice.lines), what="a line about alice")
        assert {line["session"] for line in of_alice.lines} == {"alice"}
        bot.signal(signal.SIGTERM)
        await bot.exit_code()
        bot.start()
        await bot.ready()
        await terminal.json("sessions", "stop", "alice")
        stopped = len(everything.lines)
        await eventually(
            lambda: any(line.get("session") == "alice" for line in everything.lines[stopped - 1 :]),
            what="lines after the restart",
        )
    times = [(line["time"], line["message"]) for line in everything.lines]
    assert len(times) == len(set(times)), "a line came twice"
    assert b"cannot be followed, trying again" in everything.errors

    shown = await terminal.json("logs", "--program", "bot", "--event", "session.*", "--session", "alice")
    assert {(line["program"], line["session"]) for line in shown["lines"]} == {("bot", "alice")}
    code, out = await terminal.run("logs", "--program", "watchdog", "--event", "keepalive.*")
    assert code == 0
    assert re.search(
        r"^2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  watchdog  info +Keep-alive service started", out, re.M
    ), out
    assert len((await terminal.json("logs", "-n", "3"))["lines"]) == 3
    code, out = await terminal.run("logs", "--since", "soon")
    assert (code, "--since: use a time" in out) == (2, True)
    code, out = await terminal.run("logs", "--level", "critical")
    assert (code, out) == (0, "No such line since the programs started.\n")

    bot.signal(signal.SIGTERM)
    await bot.exit_code()
    code, out = await terminal.run("logs", "--limit", "1")
    assert code == 0
    assert "Lines are missing: the bot service does not answer" in out
    terminal.environ["WATCHDOG_TOKEN"] = "another-token-0123456789"
    code, out = await terminal.run("logs", "--follow", "--program", "watchdog")
    assert code == 1, out


async def _only_administrators_and_operators_read_it_and_bad_questions_are_named(both: tuple[Program, Program]) -> None:
    for program, key in zip(both, (API_KEY, WATCHDOG_TOKEN), strict=True):
        async with Client(program.url, key) as good, Client(program.url, "another-key-0123456789") as wrong:
            for path in ("/api/logs", "/api/logs/stream"):
                assert (await wrong.call("GET", path))[0] == 403
                for field, value in (("level", "loud"), ("limit", "many"), ("limit", "1001"), ("since", "yesterday")):
                    status, problem = await good.call("GET", f"{path}?{field}={value}")
                    assert (status, problem["errors"][0]["field"]) == (422, field)
            assert (await good.call("GET", "/api/logs?limit=0"))[0] == 422
            status, page = await good.call("GET", "/api/logs?level=info&limit=2")
            assert (status, len(page["lines"])) == (200, 2)

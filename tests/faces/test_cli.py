"""``veilleur`` against both running programs: every command, for people and as JSON."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.version import VERSION
from tests.support import processes
from tests.support.processes import API_KEY, ROOT, WATCHDOG_TOKEN, Client, Program, free_port
from tests.support.receiver import Receiver
from tests.support.start_server import inherited, start_server
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


CLI = "shared.tools.cli.main"


class Terminal:
    """Runs commands with the addresses and keys of two programs."""

    def __init__(self, **environ: str) -> None:
        common = {name: value for name, value in inherited().items() if name in ("PATH", "LANG", "LC_ALL")}
        self.environ = {**common, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "140", **environ}

    async def run(self, *arguments: str) -> tuple[int, str]:
        """(exit code, both outputs)."""
        server = start_server()
        if not server.serves(CLI, self.environ):
            return await self._run_apart(*arguments)
        code, out = await asyncio.to_thread(server.run, CLI, arguments, self.environ)
        return code, out.decode()

    async def _run_apart(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", CLI, *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT, env=self.environ,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def json(self, *arguments: str) -> Any:
        """What a command prints with ``--json``; asserts on a failure."""
        code, out = await self.run(*arguments, "--json")
        assert code == 0, out
        return json.loads(out)


def rows(out: str) -> list[dict[str, str]]:
    """The rows of a printed table by column; asserts that each has a value in every column."""
    head, *lines = [re.split(r" {3,}", line.strip(" ")) for line in out.strip("\n").splitlines()]
    for cells in lines:
        assert len(cells) == len(head), out
        assert not {"", "–", "None"} & set(cells), out
    return [dict(zip(head, cells, strict=True)) for cells in lines]


@pytest.fixture
async def both(tmp_path: Path, receiver: Receiver) -> AsyncIterator[tuple[Program, Program]]:
    bot = processes.bot(tmp_path)
    watchdog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=f"{receiver.url}/alerts")
    try:
        bot.start()
        await bot.ready()
        watchdog.start()
        await watchdog.ready()
        yield bot, watchdog
    finally:
        watchdog.close()
        bot.close()


@pytest.fixture
def terminal(both: tuple[Program, Program], tmp_path: Path) -> Terminal:
    bot, watchdog = both
    return Terminal(
        BOT_URL=bot.url, WATCHDOG_URL=watchdog.url, BOT_API_KEY=API_KEY, WATCHDOG_TOKEN=WATCHDOG_TOKEN,
        DATA_DIR=str(tmp_path / "bot-data"), ENGINE="simulator",
    )  # fmt: skip


async def test_a_session_from_its_making_to_its_end(terminal: Terminal, both: tuple[Program, Program]) -> None:
    code, out = await terminal.run("sessions", "list")
    assert (code, out.startswith("There are no sessions.")) == (0, True)
    code, out = await terminal.run("sessions", "create", "alice")
    assert code == 0, out
    assert "veilleur sessions qr alice" in out

    async def scan() -> bool:
        async with Client(both[0].url) as api:
            status, _ = await api.call("POST", "/api/sessions/alice/simulate", {"action": "scan"})
            return status == 200

    (code, out), _ = await asyncio.gather(
        terminal.run("sessions", "qr", "alice"), eventually(scan, every_s=0.5, what="a scan")
    )
    assert code == 0, out
    assert "alice is linked; it is" in out

    async def ready() -> bool:
        return bool((await terminal.json("sessions", "list", "--state", "ready"))["total"] == 1)

    await eventually(ready, what="alice being READY")
    code, out = await terminal.run("sessions", "list")
    [row] = rows(out)
    assert (code, row["Session"], row["State"], row["Owner"]) == (0, "alice", "READY", "main")
    terminal.environ["COLUMNS"] = "20"  # of no account in a pipe: a row is a line
    assert rows((await terminal.run("sessions", "list"))[1])[0]["State"] == "READY"
    terminal.environ["COLUMNS"] = "140"
    sent = await terminal.json("sessions", "send", "alice", "+33612345678", "Hello")
    assert (sent["direction"], sent["text"]) == ("out", "Hello")
    assert (await terminal.json("chats", "messages", "alice", "--search", "HELL"))["messages"][0]["id"] == sent["id"]
    code, out = await terminal.run("chats", "messages", "alice", "--chat", "+33612345678")
    assert (code, rows(out)[0]["Message"]) == (0, "Hello"), out
    assert (await terminal.json("chats", "list", "alice"))["chats"][0]["unread"] == 0
    code, out = await terminal.run("profile", "set", "alice", "--about", "Open 9-18", "--name", "Alice")
    assert code == 0, out
    assert (await terminal.json("profile", "show", "alice"))["about"] == "Open 9-18"
    code, out = await terminal.run("profile", "presence", "alice", "available")
    assert (code, out) == (0, "alice is available.\n")
    assert (await terminal.json("contacts", "block", "alice", "33612345678"))["blocked"] != []
    code, out = await terminal.run("contacts", "blocked", "alice")
    assert (code, out) == (0, "33612345678@s.whatsapp.net\n")
    assert (await terminal.json("contacts", "unblock", "alice", "33612345678"))["blocked"] == []
    code, out = await terminal.run("contacts", "show", "alice", "33612345678")
    assert (code, "Simulated" in out) == (0, True), out
    for command, state in (("stop", "STOPPED"), ("start", "STARTING"), ("restart", "STARTING")):
        assert (await terminal.json("sessions", command, "alice"))["state"] == state
    await eventually(ready, what="alice being READY again")
    assert (await terminal.json("sessions", "logout", "alice"))["state"] in ("LOGGED_OUT", "STOPPED")
    code, out = await terminal.run("sessions", "qr", "alice", "--timeout", "1")
    assert (code, "no QR code: " in out, "veilleur sessions start alice" in out) == (1, True, True)
    assert await terminal.json("sessions", "delete", "alice") == {"id": "alice", "deleted": True}
    code, out = await terminal.run("sessions", "start", "alice")
    assert (code, "not_found" in out) == (1, True)


async def test_a_pairing_code_and_the_events_of_a_session(terminal: Terminal) -> None:
    await terminal.run("sessions", "create", "By code", "--id", "by-code")

    async def code_came() -> Any:
        exit_code, out = await terminal.run("sessions", "pair", "by-code", "+4915112345678", "--json")
        return json.loads(out) if exit_code == 0 else None

    made = await eventually(code_came, what="a pairing code")
    assert len(made["code"]) >= 8
    for_people, as_json = (
        asyncio.create_task(terminal.run("sessions", "watch", "by-code", "--count", "1", *more))
        for more in ((), ("--json",))
    )
    while not (for_people.done() and as_json.done()):
        await terminal.run("sessions", "restart", "by-code")
        await asyncio.wait({for_people, as_json}, timeout=1.0)
    code, out = await as_json
    assert code == 0, out
    assert json.loads(out)["session"] == "by-code"
    code, out = await for_people
    assert code == 0, out
    assert re.fullmatch(r"\d\d:\d\d:\d\d  by-code  session\.\w+(  \w+)?", out.strip()), out


async def test_the_watchdogs_commands(terminal: Terminal, receiver: Receiver, both: tuple[Program, Program]) -> None:
    async def up() -> bool:
        return bool((await terminal.json("status"))["watchdog"]["state"] == "UP")

    await eventually(up, what="the watchdog saying UP")
    code, out = await terminal.run("status")
    assert code == 0
    assert "bot is UP" in out
    code, out = await terminal.run("incidents")
    assert (code, out.strip()) == (0, "No incident so far.")
    paused = await terminal.json("pause", "--for", "30m", "--reason", "upgrade")
    assert paused["open"] is True
    assert len((await terminal.json("resume"))["ended"]) == 1
    code, out = await terminal.run("pause", "--for", "soon")
    assert code == 2
    code, out = await terminal.run("pause", "--for", "30m", "--until", "2h")
    assert (code, "--for or --until" in out) == (2, True)
    planned = await terminal.json("pause", "--from", "2h", "--until", "3h", "--text", "Back at 5", "--author", "Ann")
    assert (planned["open"], planned["text"]) == (False, "Back at 5")
    assert 3_590_000 < planned["untilMs"] - planned["fromMs"] < 3_610_000
    [row] = rows((await terminal.run("pauses"))[1].replace("–", "no reason"))
    assert (row["Pause"], row["State"], row["Author"], row["Text"]) == (planned["id"], "planned", "Ann", "Back at 5")
    assert await terminal.run("resume", planned["id"]) == (0, "1 pause ended.\n")
    assert (await terminal.run("resume", planned["id"]))[0] == 1
    made = await terminal.json("announcements", "create", "Slow today", "--severity", "problem", "--until", "2h")
    [row] = rows((await terminal.run("announcements", "list"))[1])
    assert (row["Announcement"], row["Severity"], row["Title"]) == (made["id"], "problem", "Slow today")
    assert await terminal.run("announcements", "end", made["id"]) == (0, f"{made['id']} is ended.\n")
    assert await terminal.run("announcements", "list") == (0, "There is no announcement.\n")
    code, out = await terminal.run("test-alert")
    assert code == 0, out
    assert [row["Result"] for row in rows(out)] == ["arrived", "arrived"]  # the log and the webhook
    row_of = rows(out)[1]
    await receiver.wait_for(lambda body: "test" in json.dumps(body).lower())
    assert [each["name"] for each in (await terminal.json("channels"))["channels"]] == ["log", row_of["Channel"]]
    code, out = await terminal.run("test-alert", "--channel", row_of["Channel"])
    assert [row["Channel"] for row in rows(out)] == [row_of["Channel"]]
    code, out = await terminal.run("repairs", "list")
    assert (code, out) == (0, "bot: repairs are off\nNo repair so far.\n")
    code, out = await terminal.run("repairs", "restore-budget")
    assert (code, "(repairs_off)" in out) == (1, True), out
    [replica] = (await terminal.json("replicas", "list"))["replicas"]
    assert await terminal.run("replicas", "sessions", replica["id"]) == (0, "It has no session.\n")
    assert re.search(r"^sessions\.total +0$", (await terminal.run("statistics"))[1], re.M)
    both[0].kill()

    async def incident() -> bool:
        return bool((await terminal.json("incidents"))["incidents"])

    await eventually(incident, what="an incident")
    code, out = await terminal.run("incidents")
    [row] = rows(out)
    assert (code, row["Target"], row["Lasted"]) == (0, "bot", "open")
    code, out = await terminal.run("ack", row["Incident"], "--author", "Ann")
    assert (code, out) == (0, f"{row['Incident']} is acknowledged by Ann.\n")
    code, out = await terminal.run("incident", row["Incident"])
    assert re.search(r"^acknowledged +Ann$", out, re.M), out
    assert re.search(r"^2\S+Z  decided +down: ", out, re.M), out
    assert (await terminal.run("incidents", "--before", "1d")) == (0, "No incident so far.\n")
    code, out = await terminal.run("status")
    assert code == 1
    assert re.search(r"bot is DOWN since .* UTC, for .*: 3 failures in a row: connection refused", out), out
    assert await terminal.json("ping") == {"targets": ["bot"]}
    code, out = await terminal.run("--version")
    assert (code, out) == (0, f"veilleur {VERSION}\n")
    # Else it is the shell that runs the tests, which may be one without completion.
    terminal.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "true"
    code, out = await terminal.run("--show-completion", "bash")
    assert "_VEILLEUR_COMPLETE" in out


async def test_doctor_names_what_is_wrong_and_what_to_do(terminal: Terminal, both: tuple[Program, Program]) -> None:
    async with Client(both[0].url) as client:

        async def watched() -> bool:
            return bool((await client.get("/api/keepalive"))["isRunning"])

        await eventually(watched, what="the watchdog's first push")
    found = await terminal.json("doctor")
    groups = {check["group"] for check in found["checks"]}
    assert {"This machine", "Both programs", "Bot service", "Watchdog"} <= groups
    assert found["ok"] is True
    terminal.environ |= {"BOT_URL": f"http://127.0.0.1:{free_port()}", "SESSION_MAX_AGE": "soon"}
    code, out = await terminal.run("doctor")
    assert code == 1
    assert "connection refused" in out
    assert "correct SESSION_MAX_AGE and start again" in out


async def test_a_login_link_and_a_key_that_is_missing(terminal: Terminal, both: tuple[Program, Program]) -> None:
    made = await terminal.json("login-link")
    assert made["url"].startswith(f"{both[0].url}/login?code=")
    terminal.environ.pop("BOT_API_KEY")
    terminal.environ["DATA_DIR"] = "/nonexistent"
    code, out = await terminal.run("sessions", "list", "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"], error["status"]) == (1, "unauthorized", 401)

"""``veilleur messages``, ``keys`` and the rest of ``sessions`` against one running bot service."""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import segno

from shared.tools.cli.qr import drawn
from tests.support import processes
from tests.support.processes import Client
from tests.support.sessions import paired, reaches
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

ANN = "33612345678"
PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


@pytest.mark.system
@pytest.mark.timeout(300)
async def test_messages_keys_and_sessions_from_the_command_line(tmp_path: Path) -> None:
    async with processes.bot(tmp_path).running() as bot, Client(bot.url) as api:
        terminal = Terminal(tmp_path, bot.url)
        await paired(api, "alice")
        await every_kind_of_message(terminal, api, tmp_path)
        await what_is_done_with_messages(terminal, api, tmp_path)
        a_wrong_call_says_what_is_accepted(terminal, tmp_path)
        await keys(terminal, bot.url)
        await one_session(terminal, api)


async def every_kind_of_message(terminal: Terminal, api: Client, folder: Path) -> None:
    picture = folder / "a picture.png"
    picture.write_bytes(PNG)
    send = "messages send alice " + ANN
    for kind, *options in (
        ("text", "--text", "See https://example.com", "--link", "https://example.com", "--title", "A page"),
        ("image", "--file", str(picture), "--text", "Look"),
        ("document", "--file", str(picture), "--as", "document"),
        ("location", "--location", "48.8584,2.2945", "--name", "Tour Eiffel"),
        ("contact", "--contact", "4915112345678", "--name", "Bob"),
        ("poll", "--poll", "Lunch?", "--option", "Yes", "--option", "No"),
    ):
        made = terminal.json(send, *options)
        assert (made["type"], made["direction"]) == (kind, "out")
    arrived = await eventually(lambda: _arrived(api, 6), what="six messages at the other side")
    assert [each["type"] for each in arrived] == ["text", "image", "document", "location", "contact", "poll"]
    posted = terminal.json("messages status alice", "--text", "Open", "--background", "#38b42f", "--font", "2")
    assert (posted["type"], posted["chat"]) == ("text", "status@broadcast")
    pictured = terminal.json("messages status alice", "--file", str(picture), "--text", "New")
    assert (pictured["type"], pictured["text"]) == ("image", "New")
    await eventually(lambda: _arrived(api, 8), what="two statuses")
    first, again = (terminal.json(send, "--text", "Once", "--key", "once-0001") for _ in range(2))
    assert first["id"] == again["id"]


async def _arrived(api: Client, least: int) -> list[dict[str, Any]] | None:
    inbox = (await api.post("/api/sessions/alice/simulate", {"action": "inbox"}))["result"]["messages"]
    return inbox if len(inbox) >= least else None


async def what_is_done_with_messages(terminal: Terminal, api: Client, folder: Path) -> None:
    terminal.json("sessions simulate alice message", f"from={ANN}", "text=Hi there", "id=FROM-ANN", "count:=1")
    shown = await eventually(lambda: terminal.run("messages show alice FROM-ANN").exit_code == 0, what="the message")
    assert shown
    assert "Hi there" in terminal.says("messages show alice FROM-ANN")
    mine = terminal.json(f"messages send alice {ANN}", "--text", "A mistaek")["id"]
    await eventually(lambda: terminal.json(f"messages show alice {mine}")["state"] != "queued", what="sent")
    assert terminal.json(f"messages edit alice {mine}", "A mistake")["state"] == "queued"
    assert terminal.json(f"messages react alice {ANN} FROM-ANN", "👍")["type"] == "reaction"
    assert terminal.json(f"messages forward alice FROM-ANN {ANN}")["text"] == "Hi there"
    assert terminal.json("messages star alice FROM-ANN")["starred"] is True
    assert terminal.says("messages star alice FROM-ANN --off") == "FROM-ANN has no star.\n"
    assert terminal.says(f"messages read alice {ANN} FROM-ANN") == "1 marked as read.\n"
    assert terminal.says(f"messages typing alice {ANN} recording") == f"{ANN} sees recording.\n"
    assert terminal.json(f"messages revoke alice {mine} --yes")["state"] == "queued"
    image = next(each for each in terminal.json("chats messages alice")["messages"] if each["type"] == "image")
    target = folder / "fetched.png"
    assert terminal.says(f"messages download alice {image['id']} --to {target}") == f"{target} has {len(PNG)} bytes.\n"
    assert target.read_bytes() == PNG
    assert "not_found" in terminal.says(f"messages download alice {mine} --to {folder / 'none'}", code=1)
    assert not (folder / "none").exists()
    assert list(folder.glob(".*.part")) == []


def a_wrong_call_says_what_is_accepted(terminal: Terminal, folder: Path) -> None:
    for options, named in (
        ([], "--text, --file, --location, --contact or --poll is needed"),
        (["--location", "here"], "--location: two numbers"),
        (["--file", str(folder / "none.png")], "--file: No such file"),
        (["--poll", "Lunch?", "--option", "Yes"], "options"),
    ):
        assert named in terminal.run(f"messages send alice {ANN}", *options).output
    assert "neither NAME=TEXT nor NAME:=JSON" in terminal.says("sessions simulate alice scan oops", code=2)
    assert "is no JSON" in terminal.says("sessions simulate alice scan count:=three", code=2)
    assert "--expires-in" in terminal.says("keys create Shop --owner shop --expires-in soon", code=2)


async def keys(terminal: Terminal, url: str) -> None:
    made = terminal.json("keys create Shop --owner shop --scopes read,send --expires-in 90d")
    async with Client(url, made["key"]) as shop:
        assert (await shop.get("/api/sessions"))["total"] == 0
        listed = terminal.says("keys list")
        assert made["id"] in listed
        assert made["key"] not in listed
        assert terminal.says(f"keys revoke {made['id']} --yes") == f"{made['id']} is revoked.\n"
        assert (await shop.call("GET", "/api/sessions"))[0] == 403
    assert "revoked" in terminal.says("keys list")


async def one_session(terminal: Terminal, api: Client) -> None:
    long = "A name of a session that is far longer than a line of an old terminal has place for [red]"
    assert terminal.json("sessions change alice", "--name", long)["name"] == long
    assert "--name or --owner is needed" in terminal.says("sessions change alice", code=2)
    head, row = terminal.says("sessions list").splitlines()
    assert (head.split()[0], long in row, "READY" in row) == ("Session", True, True), "one line for each row"
    assert long in terminal.says("sessions show alice")
    assert terminal.json("sessions history alice --limit 1")["transitions"][0]["to"] == "READY"
    terminal.says("sessions simulate alice logout")
    await reaches(api, "alice", "LOGGED_OUT")
    assert "LOGGED_OUT" in terminal.says("sessions history alice")


@pytest.mark.parametrize("length", [20, 120, 237, 260])
@pytest.mark.parametrize("lines", [22, 60])
def test_a_code_keeps_its_modules_and_its_colours_in_a_small_and_in_a_large_window(length: int, lines: int) -> None:
    code = segno.make("2@" + "x" * (length - 2), error="l", micro=False)
    text = io.StringIO()
    code.terminal(out=text, compact=True, border=2)
    shown = drawn(text.getvalue(), lines).splitlines()
    assert len(shown) <= lines
    assert max(len(_cells(line)) for line in shown) <= 78
    assert all(line.startswith("\033[38;5;16;48;5;231m") and line.endswith("\033[0m") for line in shown)
    wanted = [[0] * 2 + list(map(int, row)) + [0] * 2 for row in code.matrix]
    empty = [0] * len(wanted[0])
    wanted = [empty, empty, *wanted, empty, empty]
    found = _dark(shown)
    for y, row in enumerate(wanted):
        assert found[y][: len(row)] == row, y


def test_what_is_no_code_is_shown_as_it_is() -> None:
    assert drawn("not a code", 24) == "not a code"


def _cells(line: str) -> str:
    return line.split("m", 1)[1].removesuffix("\033[0m")


def _dark(lines: list[str]) -> list[list[int]]:
    """The dark modules of a drawn code, read as a terminal shows it."""
    halves = {"▀": 0b0011, "▄": 0b1100}
    found: list[list[int]] = []
    small = any(ord(cell) >= 0x1FB00 for line in lines for cell in _cells(line))
    for line in lines:
        rows: list[list[int]] = [[] for _ in range(3 if small else 2)]
        for cell in _cells(line):
            for y, row in enumerate(rows):
                if small:
                    row += [_sextant(cell) >> (2 * y + x) & 1 for x in range(2)]
                else:
                    row.append({" ": 0, "█": 3}.get(cell, 1 if halves.get(cell) == 0b0011 else 2) >> y & 1)
        found += rows
    return found


def _sextant(cell: str) -> int:
    older = {" ": 0, "▌": 0b010101, "▐": 0b101010, "█": 0b111111}
    if cell in older:
        return older[cell]
    used = [bits for bits in range(1, 63) if bits not in (0b010101, 0b101010)]
    return used[ord(cell) - 0x1FB00]

"""Names are data: new ones hold nothing that acts, and old ones act nowhere."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import logs
from shared.contract.attention import printable
from shared.visible import is_blank, is_plain_name, shown, shown_json
from tests.faces.test_cli import Terminal
from tests.faces.test_dashboard import Browser
from tests.security.conftest import Running
from tests.support import log_setup, processes
from tests.support.bot_app import running as running_app
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, Client

GOOD = [
    "Shop 12", "Élodie", "株式会社", "متجر الهاتف", "חנות", "हिन्दी दुकान", "नमस्ते", "ร้านค้า", "한국어", "❤️ love", "👍🏽",
    "👨‍👩‍👧‍👦 family", "🏳️‍🌈", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "می‌خواهم", "1️⃣", "a & b <c>", "[red]x[/]", "O'Neil \"x\"", "{{ 7*7 }}", "🇫🇷", "z̃",
]  # fmt: skip
BAD = [
    "\x1b[31mred", "a\nb", "a\rb", "a\tb", "a\x00b", "a\x7f", "a\x85b", "\x9b2J", "abc\u202egpj", "\u2066x\u2069", "a\u200eb",
    "a\u061cb", "\u200b", "\u200d", "\ufeff", "a\ufeffb", "a\u2028b", "a\u2029b", " a", "a ", " ", "\u3000", "\u00a0", "a\u00a0b",
    "a\u2003b", "a\u200bb", "\u200da", "a\u200d", "a\u200d\u200db", "\u3164", "\u2800", "\u115f", "a\u00adb", "a\ue000b", "a\uffffb",
    "a\ud800b", "\U000e0041\U000e0042", "a\U000e0001b", "\ufe0f", "a\u180eb", "a\u206ab", "a\ufff9b",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_ordinary_names_of_all_scripts_and_emoji_are_accepted_and_shown_as_they_are(name: str) -> None:
    assert is_plain_name(name)
    assert not is_blank(name)
    assert shown(name) == name or "\U000e0067" in name  # tags of a flag are shown by their numbers


@pytest.mark.parametrize("name", BAD)
def test_names_that_act_or_hide_are_refused(name: str) -> None:
    assert not is_plain_name(name)


@given(st.text(max_size=30))
def test_whatever_a_name_is_what_is_shown_is_one_line_without_commands(name: str) -> None:
    for text in (shown(name), printable(name)):
        assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in text)
        assert not set(text) & set(
            "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u2028\u2029\ufeff"
        )
    assert json.loads(shown_json(json.dumps(name, ensure_ascii=False))) == name


@pytest.mark.system
@pytest.mark.parametrize("name", [name for name in BAD if "\ud800" not in name])
async def test_the_api_refuses_them_and_says_what_a_name_is(running: Running, name: str) -> None:
    async with Client(running.bot.url) as client:
        for path, body in (
            ("/api/sessions", {"name": name}),
            ("/api/sessions", {"id": "meta", "metadata": {name: "x"}}),
            ("/api/keys", {"name": name, "owner": "main", "scopes": ["read"]}),
        ):
            status, problem = await client.call("POST", path, body)
            assert status == 422, (path, problem)
            assert "visible text on one line" in json.dumps(problem)


async def test_no_other_entrance_takes_them(tmp_path: Path) -> None:
    async with running_app(tmp_path / "data") as bot:
        assert (await bot.call("POST", "/api/sessions", {"id": "one", "start": False}))[0] == 201
        browser = Browser(bot)
        await browser.sign_in()
        for name in BAD:
            if "\ud800" in name:
                continue  # no form and no JSON can have it
            for method, path, body in (
                ("PATCH", "/api/sessions/one", {"name": name}),
                ("PATCH", "/api/sessions/one", {"metadata": {name: "x"}}),
                ("POST", "/waha/api/sessions", {"name": "two", "start": False, "config": {"metadata": {name: "x"}}}),
                ("PUT", "/waha/api/sessions/one", {"config": {"metadata": {name: "x"}}}),
                ("POST", "/waha/api/sessions", {"name": name, "start": False}),
                ("POST", "/evolution/instance/create", {"instanceName": name}),
            ):
                status, problem = await bot.call(method, path, body)
                assert status in (400, 422), (path, name, problem)
            if name == name.strip():  # blanks at the ends of a field are no part of what was typed
                await browser.get("/new")
                assert 'class="wrong"' in await browser.refused("/new", next="/new", id="two", name=name), name
                assert 'class="wrong"' in await browser.refused(
                    "/keys", next="/keys", owner="a", name=name, scopes="read"
                )
        _, listed = await bot.call("GET", "/api/sessions")
        assert [(each["id"], each["name"], each["metadata"]) for each in listed["sessions"]] == [("one", "one", {})]
        assert (await bot.call("GET", "/api/keys"))[1]["keys"] == []


@pytest.mark.system
async def test_the_api_takes_ordinary_names(running: Running) -> None:
    async with Client(running.bot.url) as client:
        for number, name in enumerate(GOOD):
            made = await client.post("/api/sessions", {"id": f"good-{number}", "name": name, "start": False})
            assert made["name"] == name
            assert (await client.call("PATCH", f"/api/sessions/good-{number}", {"name": "\x1b[2J"}))[0] == 422
            await client.call("DELETE", f"/api/sessions/good-{number}")


@pytest.mark.system
@pytest.mark.parametrize("field", ["author", "reason"])
async def test_the_words_of_a_pause_are_checked_too(running: Running, field: str) -> None:
    async with Client(running.watchdog.url, WATCHDOG_TOKEN) as client:
        for bad in ("\x1b[31m", "a\u202eb", "a\nb", "\u200b"):
            status, _ = await client.call(
                "POST", "/api/pause", {"minutes": 1, field: f"x{bad}y" if bad != "\u200b" else bad}
            )
            assert status == 422
        status, _ = await client.call("POST", "/api/pause", {"minutes": 1, field: "👩‍💻 café"})
        assert status in (200, 201)
        await client.call("DELETE", "/api/pause")


OLD = [
    "[/red] [bold",
    "[link=file:///etc]x",
    "\x1b]0;owned\x07\x1b[31mred",
    "abc\u202egpj",
    "two\nlines",
    "\x9b2J",
    ":smile:",
]


@pytest.mark.system
@pytest.mark.timeout(300)
async def test_old_names_are_readable_and_act_in_no_terminal(tmp_path: Path) -> None:
    program = processes.bot(tmp_path)
    async with program.running(), Client(program.url) as client:
        for number in range(len(OLD)):
            await client.post("/api/sessions", {"id": f"old-{number}", "start": False})
    with sqlite3.connect(Path(program.env["DATA_DIR"]) / "bot.db") as store:
        for number, name in enumerate(OLD):
            (raw,) = store.execute("SELECT record FROM sessions WHERE id = ?", (f"old-{number}",)).fetchone()
            record = json.dumps({**json.loads(raw), "name": name}).encode()
            store.execute("UPDATE sessions SET name = ?, record = ? WHERE id = ?", (name, record, f"old-{number}"))
    store.close()
    program.start()
    try:
        await program.ready()
        terminal = Terminal(BOT_URL=program.url, BOT_API_KEY=API_KEY, FORCE_COLOR="1", COLUMNS="200")
        code, out = await terminal.run("sessions", "list")
        assert code == 0, out
        assert "[/red] [bold" in out
        assert "[link=file:///etc]x" in out
        assert ":smile:" in out
        assert "two␊lines" in out
        assert "abc\\u202egpj" in out
        assert "\x1b]" not in out
        assert "\x9b" not in out
        code, out = await terminal.run("sessions", "list", "--json")
        assert "\u202e" not in out
        assert "\x9b" not in out
        assert {each["name"] for each in json.loads(out)["sessions"]} == set(OLD)
    finally:
        program.close()


async def test_old_names_cannot_change_a_page(tmp_path: Path) -> None:
    async with running_app(tmp_path / "data") as bot:
        assert (await bot.call("POST", "/api/sessions", {"id": "one", "start": False}))[0] == 201
        await _rename(bot, "one", "<b>x</b>\u202egpj\x1b[31m\u2028")
        page = await _page(bot, "/")
        assert "&lt;b&gt;x&lt;/b&gt;\\u202egpj␛[31m\\u2028" in page
        assert not set(page) & set("\u202e\x1b\u2028")


async def _rename(bot: object, session: str, name: str) -> None:
    import msgspec

    from bot_service import keys

    sessions = bot.app[keys.SESSIONS]  # type: ignore[attr-defined]
    record = sessions.registry.get(session)
    sessions.supervisor.change(msgspec.structs.replace(record, name=name))
    await sessions.store.flush()


async def _page(bot: object, path: str) -> str:
    browser = Browser(bot)  # type: ignore[arg-type]
    await browser.sign_in()
    status, page = await browser.get(path)
    assert status == 200
    return page


@pytest.fixture
def _restored() -> Iterator[None]:
    with log_setup.restored():
        yield


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("name", ["\x1b]0;owned\x07", "\x9b2J", "abc\u202egpj", "a\u2028b", 'x\n{"message":"forged"}'])
def test_no_name_acts_in_the_log(form: str, name: str) -> None:
    out = io.StringIO()
    logs.configure(form, "info", out)
    logs.get("x").info(f"Session {name} was made", event_name="a.b", name=name, names=[name], more={"name": name})
    text = out.getvalue()
    assert not set(text.rstrip("\n")) & set("\x1b\x07\x9b\u202e\u2028\n")

"""The status page over the whole watchdog: public or by token, in two languages, while the bot is up and while it is dead."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fake_bot import FakeBot
from tests.support.fake_clock import FakeClock
from tests.support.processes import ROOT, WATCHDOG_TOKEN, free_port
from tests.support.waiting import eventually
from tests.support.watchdog_app import RunningWatchdog, running_watchdog
from watchdog.status.access import LOGIN_LASTS_S, StatusLogins


@pytest.fixture
async def watchdog(tmp_path: Path) -> AsyncIterator[RunningWatchdog]:
    async with FakeBot() as bot, running_watchdog(tmp_path, bot.url) as running:
        yield running


async def shows(watchdog: RunningWatchdog, text: str, **headers: str) -> str:
    """The page, once it holds ``text``."""

    async def look() -> str | None:
        status, page = await watchdog.call("GET", "/", token=None, **headers)
        return page if status == 200 and text in page else None

    return str(await eventually(look, every_s=0.1, what=f"{text!r} on the page"))


async def test_the_page_says_in_one_sentence_that_the_bot_runs(watchdog: RunningWatchdog) -> None:
    page = await shows(watchdog, "The bot service is running.")
    assert len(re.findall(r"<rect class=", page)) == 90
    assert "p95" in page


async def test_the_page_answers_in_french_by_browser_and_by_choice(watchdog: RunningWatchdog) -> None:
    page = await shows(watchdog, "Le service fonctionne.", **{"Accept-Language": "fr"})
    assert '<html lang="fr"' in page
    async with watchdog.http.get(watchdog.url + "/?lang=fr", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        assert "lang=fr" in answer.headers["Set-Cookie"]
    async with watchdog.http.get(watchdog.url + "//evil.example/?lang=fr", allow_redirects=False) as answer:
        assert not answer.headers.get("Location", "/").startswith("//")


async def test_the_feed_answers_in_the_language_of_its_address_or_of_the_reader(watchdog: RunningWatchdog) -> None:
    await watchdog.call("POST", "/api/pause", {"minutes": 5, "text": "We move."})
    for query, accepted, lang, title in (
        ("", "fr", "fr", "Maintenance"),
        ("?lang=es", "fr", "es", "Mantenimiento"),
        ("?lang=xx", "de", "en", "Maintenance"),
    ):
        async with watchdog.http.get(
            watchdog.url + "/feed.atom" + query, headers={"Accept-Language": accepted}
        ) as answer:
            text = await answer.text()
            assert answer.headers["Content-Language"] == lang
        assert f'xml:lang="{lang}"' in text
        assert f"<title>{title}</title>" in text
        assert ('/feed.atom?lang=es"' in text) == (lang == "es")
    assert "We move." in text


async def test_a_dead_bot_is_shown_with_its_incident_and_every_step(tmp_path: Path) -> None:
    async with running_watchdog(tmp_path, f"http://127.0.0.1:{free_port()}") as running:
        page = await shows(running, "The bot service is down.")
        assert "connection refused" in page
        assert "Confirmed: down" in page
        for private in ("delivered", "Latest notices", "Alert channels"):
            assert private not in page
        await shows(running, "Le service est en panne.", **{"Accept-Language": "fr"})


async def test_a_first_page_with_ninety_days_travels_in_less_than_60_kb(watchdog: RunningWatchdog) -> None:
    page = await shows(watchdog, "The bot service is running.")
    addresses = ["/", *re.findall(r'(?:href|src)="(/static/[^"]+)"', page)]
    folder = re.findall(r'src="(/static/[^"/]+/)', page)[0]
    travelled = {}
    for address in dict.fromkeys([*addresses, *(folder + name for name in ("connection.js", "regions.js", "ago.js"))]):
        # Without a decoder the client sees what travels.
        async with watchdog.http.get(
            watchdog.url + address, headers={"Accept-Encoding": "gzip"}, auto_decompress=False
        ) as answer:
            assert answer.status == 200, address
            assert answer.headers["Content-Encoding"] == "gzip", address
            travelled[address] = len(await answer.read())
    assert sum(travelled.values()) < 60_000, travelled


async def test_the_page_runs_nothing_that_is_not_ours(watchdog: RunningWatchdog) -> None:
    async with watchdog.http.get(watchdog.url + "/") as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)|https?://", page.replace(watchdog.url, ""))
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        async with watchdog.http.get(watchdog.url + address) as file:
            assert file.status == 200
            assert "immutable" in file.headers["Cache-Control"]


async def test_a_page_that_is_not_public_asks_for_a_token_and_keeps_it_in_a_cookie(tmp_path: Path) -> None:
    async with running_watchdog(tmp_path, f"http://127.0.0.1:{free_port()}", STATUS_PAGE_PUBLIC="false") as running:
        status, page = await running.call("GET", "/", token=None)
        assert status == 401
        assert "needs a token" in page
        here = {"Origin": running.url}
        async with running.http.post(running.url + "/login", data={"token": "wrong"}, headers=here) as answer:
            assert answer.status == 403
        elsewhere = {"Origin": "http://evil.example"}
        async with running.http.post(
            running.url + "/login", data={"token": WATCHDOG_TOKEN}, headers=elsewhere
        ) as answer:
            assert answer.status == 403
        async with running.http.post(
            running.url + "/login", data={"token": WATCHDOG_TOKEN}, headers=here, allow_redirects=False
        ) as answer:
            assert answer.status == 303
            cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert 0 < int(re.findall(r"Max-Age=(\d+)", cookie)[0]) <= 86_400
        assert WATCHDOG_TOKEN not in cookie
        bare = cookie.partition(";")[0]
        async with running.http.get(running.url + "/", headers={"Cookie": bare}) as answer:
            assert answer.status == 200
            assert 'action="/logout"' in await answer.text()
        for method, path in (("POST", "/api/ping"), ("POST", "/api/test-alert"), ("DELETE", "/api/pause")):
            assert (await running.call(method, path, token=None, Cookie=bare))[0] == 401, "a cookie only reads"
        value = bare.partition("=")[2]
        assert (await running.call("POST", "/api/ping", token=value))[0] == 403, "a cookie's value is no token"


async def test_signing_out_of_the_status_page_ends_the_login_on_the_server(tmp_path: Path) -> None:
    async with running_watchdog(tmp_path, f"http://127.0.0.1:{free_port()}", STATUS_PAGE_PUBLIC="false") as running:
        here, cookies = {"Origin": running.url}, []
        for _ in range(2):
            async with running.http.post(
                running.url + "/login", data={"token": WATCHDOG_TOKEN}, headers=here, allow_redirects=False
            ) as answer:
                cookies.append(answer.headers["Set-Cookie"].partition(";")[0])
        elsewhere = {"Origin": "http://evil.example", "Cookie": cookies[0]}
        async with running.http.post(running.url + "/logout", headers=elsewhere) as answer:
            assert answer.status == 403
        async with running.http.post(
            running.url + "/logout", headers=here | {"Cookie": cookies[0]}, allow_redirects=False
        ) as answer:
            assert answer.status == 303
        for cookie, status in zip(cookies, (401, 200), strict=True):
            async with running.http.get(running.url + "/api/status", headers={"Cookie": cookie}) as answer:
                assert answer.status == status


async def test_a_login_of_the_status_page_ends_by_itself_and_the_oldest_ones_make_room() -> None:
    clock = FakeClock()
    logins = StatusLogins(clock)
    first = logins.begin()
    assert logins.find(first) is not None
    await clock.advance(LOGIN_LASTS_S)
    assert logins.find(first) is None
    many = [logins.begin() for _ in range(1001)]
    assert logins.find(many[0]) is None
    assert logins.find(many[1]) is not None
    assert logins.find("") is None


def test_the_token_of_a_login_is_masked_on_each_page() -> None:
    logins = StatusLogins(FakeClock())
    login, other = (logins.find(logins.begin(operator=True)) for _ in range(2))
    assert login is not None
    assert other is not None
    first, second = login.form_token(), login.form_token()
    assert first != second
    assert login.made(first)
    assert login.made(second)
    assert not other.made(first)
    for wrong in ("", "x", first[:-4], first + "AAAA", "\udc80", "é"):
        assert not login.made(wrong)


async def test_templates_are_loaded_only_when_somebody_looks() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys, watchdog.app; print('jinja2' in sys.modules)",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert out.decode().strip() == "False"

"""Every form of both programs: from elsewhere or without the token of its login it does nothing, and it leads to no other host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.bot_service.api.test_permissions import FORMS, World, filled
from tests.faces.test_dashboard import Browser
from tests.support.bot_app import Bot, paired, running
from tests.support.operator import signed_in
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, free_port
from tests.support.watchdog_app import running_watchdog
from watchdog.status.operator_pages import COMMANDS as OPERATOR_COMMANDS

HERE = {"Sec-Fetch-Site": "same-origin"}
ELSEWHERE: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {},
]
OTHER_HOSTS = (
    "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "///evil.example",
    "http:evil.example", "/\t/evil.example", " //evil.example", "https:/evil.example",
)  # fmt: skip
# Forms of people who are signed in, with fields that would do something.
COMMANDS = {
    path: {**fields, **more}
    for (method, path), (scope, _, fields) in FORMS.items()
    if method == "POST" and scope is not None
    for more in [
        {
            "/new": {"id": "foreign", "name": "Foreign"},
            "/sessions": {"command": "stop", "session": "of-ann"},
            "/webhooks": {"url": "https://shop.example.com", "events": "message"},
            "/keys": {"name": "Foreign", "owner": "foreign", "scopes": "admin"},
            "/sessions/{id}/simulate": {"action": "message", "text": "foreign"},
        }.get(path, {})
    ]
}


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, WEBHOOK_ALLOW_PRIVATE="true") as started:
        yield started


async def everything(bot: Bot) -> list[Any]:
    """What a form could change."""
    _, sessions = await bot.call("GET", "/api/sessions")
    _, webhooks = await bot.call("GET", "/api/webhooks")
    _, made = await bot.call("GET", "/api/keys")
    shown = [(each["id"], each["state"], each["wanted"], each["name"]) for each in sessions["sessions"]]
    return [shown, webhooks["webhooks"], [key["id"] for key in made["keys"]], list(bot.pool.calls), list(bot.pool.sent)]


@pytest.mark.parametrize("path", COMMANDS)
async def test_no_form_from_elsewhere_or_without_its_token_does_anything(bot: Bot, path: str) -> None:
    world, browser = World(bot), Browser(bot)
    await paired(bot, "running")
    names = await world.names()
    await browser.sign_in()
    right, before = browser.token, await everything(bot)
    given: dict[str, Any] = COMMANDS[path]
    for headers in ELSEWHERE:
        assert (await browser.post(filled(path, names), headers, **given))[0] == 403, headers
    for wrong in ("", "somebody-elses", right[:-1], right + "x", "é"):
        assert (await browser.post(filled(path, names), HERE, **given | {"token": wrong}))[0] == 403, wrong
    assert await everything(bot) == before
    assert (await browser.post(filled(path, names), HERE, **given | {"token": right}))[0] == 303, (
        "the form itself is good"
    )


async def test_a_login_and_a_sign_out_from_elsewhere_change_nothing(bot: Bot) -> None:
    browser = Browser(bot)
    await browser.sign_in()
    for headers in ELSEWHERE:
        assert (await browser.post("/logout", headers))[0] == 403, headers
        assert (await browser.get("/"))[0] == 200
    bot.client.session.cookie_jar.clear()
    for headers in ELSEWHERE:
        async with bot.client.post("/login", data={"key": API_KEY}, headers=headers, allow_redirects=False) as answer:
            assert (answer.status, "Set-Cookie" in answer.headers) == (403, False), headers


@pytest.mark.parametrize("path", COMMANDS)
async def test_no_form_leads_to_another_host(bot: Bot, path: str) -> None:
    world, browser = World(bot), Browser(bot)
    names = await world.names()
    await browser.sign_in()
    given: dict[str, Any] = COMMANDS[path]
    for target in OTHER_HOSTS:
        names = await world.names()
        status, led = await browser.post(filled(path, names), None, **given | {"next": target})
        assert status == 303
        assert led.startswith("/"), (target, led)
        assert not led.startswith(("//", "/\\")), (target, led)
        assert urlsplit(led).netloc == "", (target, led)


@pytest.mark.parametrize("query", ["lang=fr", "theme=dark"])
async def test_a_choice_of_language_or_theme_leads_to_no_other_host(tmp_path: Path, query: str) -> None:
    async with (
        running(tmp_path / "data") as bot,
        running_watchdog(tmp_path, f"http://127.0.0.1:{free_port()}") as watchdog,
        aiohttp.ClientSession() as http,
    ):
        for base in (str(bot.client.make_url("/")).rstrip("/"), watchdog.url):
            for path in (
                "/",
                "/login",
                "//evil.example/",
                "/\\evil.example",
                "//evil.example/login",
                "/%2F/evil.example/",
            ):
                async with http.get(f"{base}{path}?{query}", allow_redirects=False) as answer:
                    led = answer.headers.get("Location", "/")
                    assert led.startswith("/"), (path, led)
                    assert not led.startswith(("//", "/\\")), (path, led)


@pytest.mark.parametrize("proto", ["https", "http"])
async def test_the_status_pages_cookie_is_secure_behind_https(tmp_path: Path, proto: str) -> None:
    async with running_watchdog(tmp_path, f"http://127.0.0.1:{free_port()}", STATUS_PAGE_PUBLIC="false") as watchdog:
        headers = HERE | {"X-Forwarded-Proto": proto}
        async with watchdog.http.post(
            watchdog.url + "/login", data={"token": WATCHDOG_TOKEN}, headers=headers, allow_redirects=False
        ) as answer:
            cookie = answer.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
        assert ("Secure" in cookie) is (proto == "https")


@pytest.mark.parametrize("headers", ELSEWHERE)
async def test_no_form_of_the_status_page_works_from_elsewhere(tmp_path: Path, headers: dict[str, str]) -> None:
    async with running_watchdog(tmp_path, f"http://127.0.0.1:{free_port()}", STATUS_PAGE_PUBLIC="false") as watchdog:
        for path, form in (("/login", {"token": WATCHDOG_TOKEN}), ("/logout", {})):
            async with watchdog.http.post(watchdog.url + path, data=form, headers=headers) as answer:
                assert (answer.status, "Set-Cookie" in answer.headers) == (403, False), path
        async with signed_in(watchdog.url) as operator:
            for command in OPERATOR_COMMANDS:
                data = {"token": operator.token, "minutes": "30", "title": "Foreign"}
                async with operator.http.post(
                    f"{watchdog.url}/operator/{command}", data=data, headers=headers
                ) as answer:
                    assert answer.status == 403, command
        _, seen = await watchdog.call("GET", "/api/status")
        tests = [notice for notice in seen["notices"] if notice["kind"] == "test"]
        assert (seen["pauses"], seen["announcements"], tests) == ([], [], [])

"""Pages answer only to names that no stranger can bind to this machine, and links lead to the address that people use."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from shared.settings import CommonSettings, SettingsError, load
from shared.web.own_hosts import OwnHosts
from tests.support.bot_app import Bot, running
from tests.support.fake_bot import FakeBot
from tests.support.processes import API_KEY, WATCHDOG_TOKEN
from tests.support.watchdog_app import running_watchdog

FOREIGN = (
    "evil.example",
    "evil.example:3000",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "rebind.example.com.",
)
OWN = (
    "localhost",
    "localhost:3000",
    "LOCALHOST",
    "127.0.0.1:3000",
    "[::1]:3000",
    "192.168.1.9",
    "bot",
    "nas.local",
    "",
)
HERE = {"Sec-Fetch-Site": "same-origin"}


async def ask(bot: Bot, method: str, path: str, host: str, **headers: str) -> tuple[int, str, str]:
    """(status, body, cookie)."""
    async with (
        aiohttp.ClientSession() as http,
        http.request(
            method,
            bot.client.make_url(path),
            headers={"Host": host, **headers},
            data={"key": API_KEY} if method == "POST" else None,
            allow_redirects=False,
        ) as answer,
    ):
        return answer.status, await answer.text(), answer.headers.get("Set-Cookie", "")


def test_addresses_and_local_names_are_own_and_public_names_are_not() -> None:
    hosts = OwnHosts(urls=["https://bot.example.com"], names=["Second.example, third.example"])
    assert all(hosts.include(host) for host in (*OWN, "bot.example.com", "second.example:443"))
    assert not [host for host in (*FOREIGN, "example.com", "xbot.example.com") if hosts.include(host)]
    assert OwnHosts(names=["*"]).include("evil.example")


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_page_under_a_foreign_name_is_neither_shown_nor_signs_in(tmp_path: Path, host: str) -> None:
    async with running(tmp_path / "data") as bot:
        for path in ("/", "/login", "/docs", "/keys", "/events"):
            status, text, _ = await ask(bot, "GET", path, host)
            assert (status, "unknown_host" in text) == (421, True), path
        origin = {"Origin": f"http://{host}"}
        for headers in (HERE, origin, HERE | origin):
            status, _, cookie = await ask(bot, "POST", "/login", host, **headers)
            assert (status, cookie) == (421, "")
        assert (await ask(bot, "GET", "/health", host))[0] == 200
        assert (await ask(bot, "GET", "/api/sessions", host, Authorization=f"Bearer {API_KEY}"))[0] == 200


@pytest.mark.parametrize("host", [host for host in OWN if host])
async def test_own_names_sign_in(tmp_path: Path, host: str) -> None:
    async with running(tmp_path / "data") as bot:
        assert (await ask(bot, "POST", "/login", host, **HERE))[0] == 303
        assert (await ask(bot, "POST", "/login", host, Origin=f"http://{host}"))[0] == 303
        assert (await ask(bot, "POST", "/login", host, Origin="http://evil.example"))[0] == 403


async def test_the_public_address_is_own_also_where_a_proxy_changes_the_host(tmp_path: Path) -> None:
    async with running(tmp_path / "data", PUBLIC_URL="https://bot.example.com", OWN_HOSTS="second.example") as bot:
        for host in ("bot.example.com", "second.example", "bot:3000"):
            assert (await ask(bot, "POST", "/login", host, **HERE))[0] == 303
        for origin, status in (
            ("https://bot.example.com", 303),
            ("https://bot.example.com:443", 303),
            ("http://bot.example.com", 403),
            ("https://bot.example.com.evil.example", 403),
            ("null", 403),
            ("https://[", 403),
        ):
            assert (await ask(bot, "POST", "/login", "bot:3000", Origin=origin))[0] == status, origin
        assert (await ask(bot, "GET", "/login", "evil.example"))[0] == 421


@pytest.mark.parametrize(
    ("env", "host", "begin"),
    [
        ({"PUBLIC_URL": "https://bot.example.com"}, "evil.example", "https://bot.example.com/login?code="),
        ({"PUBLIC_URL": "https://bot.example.com"}, "localhost:3000", "https://bot.example.com/login?code="),
        ({"RAILWAY_PUBLIC_DOMAIN": "bot.up.railway.app"}, "evil.example", "https://bot.up.railway.app/login?code="),
        ({}, "evil.example", "http://localhost:3000/login?code="),
        ({}, "127.0.0.1:3456", "http://127.0.0.1:3456/login?code="),
    ],
)
async def test_a_login_link_never_leads_to_the_host_that_its_request_names(
    tmp_path: Path, env: dict[str, str], host: str, begin: str
) -> None:
    async with running(tmp_path / "data", pool=None, clock=None, **env) as bot:
        _, link = await bot.call("POST", "/api/login-links", headers={"Host": host})
        assert link["url"].startswith(begin)


async def test_the_status_page_answers_to_own_names_only_and_the_api_with_a_token_to_all(tmp_path: Path) -> None:
    async with FakeBot() as bot, running_watchdog(tmp_path, bot.url, OWN_HOSTS="status.example") as watchdog:
        for path in ("/", "/api/status", "/badge.svg"):
            for host in FOREIGN:
                assert (await watchdog.call("GET", path, token=None, Host=host))[0] == 421, (path, host)
            for host in ("localhost:3001", "status.example", "watchdog"):
                assert (await watchdog.call("GET", path, token=None, Host=host))[0] == 200, (path, host)
        assert (await watchdog.call("GET", "/api/status", token=WATCHDOG_TOKEN, Host="evil.example"))[0] == 200
        assert (await watchdog.call("GET", "/health", token=None, Host="evil.example"))[0] == 200


@pytest.mark.parametrize("value", ["https://bot.example", "bot.example:3000", "bot example/", "[::1]"])
def test_own_hosts_are_names_without_schemes_and_ports(value: str) -> None:
    with pytest.raises(SettingsError, match="OWN_HOSTS"):
        load(CommonSettings, {"OWN_HOSTS": value})

"""Logins and what is shown once, at any replica; and no replica with a secret of its own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.cluster.replicas import Cluster, cluster, postgresql_server
from tests.support import postgresql
from tests.support.postgresql import PostgreSQL
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, bot
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.long, *postgresql.needed()]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with postgresql_server() as started:
        yield started


@pytest.fixture
async def two(tmp_path: Path, server: PostgreSQL) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path, server, 2) as made:
        yield made
    server.sql("DROP DATABASE cluster WITH (FORCE)")


class Browser:
    """One person, for whom both replicas are one service: cookies go to whichever answers."""

    def __init__(self, urls: list[str]) -> None:
        self.urls, self.cookie = urls, ""

    async def ask(self, replica: int, method: str, path: str, **form: str) -> tuple[int, str, str]:
        """Status, where it leads, and the page."""
        headers = {"Sec-Fetch-Site": "same-origin", "Cookie": self.cookie}
        async with (
            aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.request(method, self.urls[replica] + path, data=form or None, allow_redirects=False) as answer,
        ):
            if "Set-Cookie" in answer.headers:
                self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
            return answer.status, answer.headers.get("Location", ""), await answer.text()


def form_token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


async def test_logins_links_and_messages_work_at_every_replica_and_end_at_all(two: Cluster) -> None:
    link = (await two.clients[0].post("/api/login-links"))["url"]
    code = urlsplit(link).query.removeprefix("code=")
    browser = Browser([program.url for program in two.programs])
    assert (await browser.ask(1, "POST", "/login", code=code))[0] == 303
    # Used up everywhere.
    for replica in (0, 1):
        assert (await Browser(browser.urls).ask(replica, "POST", "/login", code=code))[0] == 403

    # A new key is made at one replica and shown by the other one, once, to this login; the database does not have it.
    status, _, page = await browser.ask(0, "GET", "/keys")
    assert status == 200
    form = {"name": "Shop", "owner": "shop", "scopes": "read", "token": form_token(page)}
    status, target, _ = await browser.ask(0, "POST", "/keys", **form)
    assert (status, "once=" in target) == (303, True)
    rows = "\n".join(two.rows("SELECT encode(data, 'escape') FROM shown_once")[0])
    stranger = Browser(browser.urls)
    await stranger.ask(1, "POST", "/login", key=API_KEY)
    assert "vk_" not in (await stranger.ask(1, "GET", target))[2]
    shown = re.search(r"vk_[\w-]{20,}", (await browser.ask(1, "GET", target))[2])
    assert shown is not None
    assert shown[0] not in rows
    assert "vk_" not in rows
    for replica in (0, 1):
        assert shown[0] not in (await browser.ask(replica, "GET", target))[2]

    # A key that is revoked at one replica is refused by the other one at once, though it was in use there.
    key = {"Authorization": f"Bearer {shown[0]}"}
    assert await _status(two, 1, "/api/sessions", key) == 200
    key_id = (await two.clients[0].get("/api/keys"))["keys"][0]["id"]
    assert (await two.clients[0].call("DELETE", f"/api/keys/{key_id}"))[0] == 204

    async def refused() -> bool:
        return await _status(two, 1, "/api/sessions", key) in (401, 403)

    await eventually(refused, within_s=5, what="the key being refused at the other replica")

    # Signed out at one replica, out at both.
    assert (await browser.ask(1, "GET", "/keys"))[0] == 200
    cookie = browser.cookie
    await browser.ask(0, "POST", "/logout")

    async def is_out() -> bool:
        browser.cookie = cookie
        return (await browser.ask(1, "GET", "/keys"))[0] == 303

    await eventually(is_out, within_s=5, what="the sign-out at the other replica")
    assert not any("/login?code=" in program.output() for program in two.programs)
    assert not any((Path(program.env["DATA_DIR"]) / "secrets").exists() for program in two.programs)


async def _status(two: Cluster, replica: int, path: str, headers: dict[str, str]) -> int:
    async with aiohttp.ClientSession(headers=headers) as http, http.get(two.programs[replica].url + path) as answer:
        return answer.status


@pytest.mark.parametrize("missing", ["BOT_API_KEY", "WATCHDOG_TOKEN"])
async def test_a_replica_without_a_secret_ends_with_its_name(tmp_path: Path, missing: str) -> None:
    program = bot(
        tmp_path, DATABASE_URL="postgresql://nowhere/veilleur", POSTGRESQL_PREVIEW="true", REPLICA_URL="http://a",
    )  # fmt: skip
    program.env[missing] = ""
    program.start()
    try:
        assert await program.exit_code() == 2
        assert f"{missing}: all replicas need the same one; accepted: a secret" in program.output()
        assert not (tmp_path / "secrets").exists()
    finally:
        program.close()


async def test_a_replica_with_other_secrets_says_so(two: Cluster) -> None:
    await two.add(1, WATCHDOG_TOKEN=f"{WATCHDOG_TOKEN}-of-its-own")
    said = [line for line in two.programs[2].events() if line.get("event") == "replica.other_secrets"]
    assert sorted(said[0]["replicas"]) == sorted(program.url for program in two.programs[:2])
    assert not any("replica.other_secrets" in program.output() for program in two.programs[:2])

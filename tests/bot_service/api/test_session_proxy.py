"""A session with a proxy of its own: used at the next start, kept over restarts, never shown with its password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot_service import keys
from tests.support.bot_app import Bot, running
from tests.support.waiting import eventually

OF_ALL = "http://127.0.0.1:3128"
WITH_PASSWORD = "socks5://shop:s3cr3t@proxy.example.com:1080"


async def started_through(bot: Bot, session: str, proxy: str | None) -> None:
    await eventually(lambda: bot.pool.proxies.get(session, "never") == proxy, what=f"{session} through {proxy}")


async def test_a_proxy_is_used_at_the_next_start_and_after_a_restart_of_the_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path, WHATSAPP_PROXY=OF_ALL) as bot:
        status, made = await bot.call("POST", "/api/sessions", {"id": "own", "proxy": WITH_PASSWORD})
        assert (status, made["proxy"]) == (201, "socks5://proxy.example.com:1080")
        await started_through(bot, "own", WITH_PASSWORD)
        status, made = await bot.call("POST", "/api/sessions", {"id": "plain"})
        assert (status, made["proxy"]) == (201, None)
        await started_through(bot, "plain", OF_ALL)
        _, changed = await bot.call("PATCH", "/api/sessions/plain", {"proxy": "http://[::1]:8080/"})
        assert changed["proxy"] == "http://[::1]:8080"
        _, renamed = await bot.call("PATCH", "/api/sessions/plain", {"name": "Plain"})
        assert renamed["proxy"] == "http://[::1]:8080"
        assert bot.pool.proxies["plain"] == OF_ALL
        await bot.call("POST", "/api/sessions/plain/restart")
        await started_through(bot, "plain", "http://[::1]:8080")
        record = bot.app[keys.SESSIONS].registry.get("own")
        assert "s3cr3t" not in repr(record)
    async with running(tmp_path, WHATSAPP_PROXY=OF_ALL) as bot:
        await started_through(bot, "own", WITH_PASSWORD)
        _, cleared = await bot.call("PATCH", "/api/sessions/own", {"proxy": None})
        assert cleared["proxy"] is None
        await bot.call("POST", "/api/sessions/own/restart")
        await started_through(bot, "own", OF_ALL)
    out = capsys.readouterr()
    assert "s3cr3t" not in out.out + out.err


async def test_a_wrong_proxy_is_named_without_its_password_and_owners_may_set_none(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        wrong: list[Any] = [
            "",
            "proxy.example.com:80",
            "ftp://u:s3cr3t@h",
            "http://u:s3cr3t@",
            "http://h:99999",
            "http://a b",
            7,
        ]
        for proxy in wrong:
            status, problem = await bot.call("POST", "/api/sessions", {"id": "one", "proxy": proxy})
            assert (status, problem["errors"][0]["field"]) == (422, "proxy"), proxy
            assert "s3cr3t" not in str(problem)
        _, key = await bot.call("POST", "/api/keys", {"name": "ann", "scopes": ["session", "read"], "owner": "ann"})
        body = {"id": "of-ann", "proxy": "http://127.0.0.1:22"}
        status, problem = await bot.call("POST", "/api/sessions", body, key=key["key"])
        assert (status, problem["code"]) == (403, "forbidden")
        await bot.call("POST", "/api/sessions", {"id": "of-ann", "start": False}, key=key["key"])
        status, _ = await bot.call("PATCH", "/api/sessions/of-ann", {"proxy": "http://127.0.0.1:22"}, key=key["key"])
        assert status == 403
        # The removal of a proxy is a way around it.
        assert (await bot.call("PATCH", "/api/sessions/of-ann", {"proxy": None}, key=key["key"]))[0] == 200
        await bot.call("PATCH", "/api/sessions/of-ann", {"proxy": "http://proxy.example.com:80"})
        status, problem = await bot.call("PATCH", "/api/sessions/of-ann", {"proxy": None}, key=key["key"])
        assert (status, problem["code"]) == (403, "forbidden")
        assert (await bot.call("GET", "/api/sessions/of-ann"))[1]["proxy"] == "http://proxy.example.com:80"

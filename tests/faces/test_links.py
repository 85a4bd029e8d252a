"""Both programs as processes: each links to the other, both bear the installation's name, and neither claims more than it has seen."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from tests.support import processes
from tests.support.operator import signed_in
from tests.support.processes import API_KEY, QUICK, Client
from tests.support.sessions import reaches
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


async def test_dashboard_and_watchdog_link_to_each_other_and_name_the_installation(tmp_path: Path) -> None:
    bot = processes.bot(tmp_path, INSTALLATION_NAME="Boutique Lyon", STATUS_COMPONENTS="Support=sessions:support-*")
    dog = processes.watchdog(tmp_path, bot.url, INSTALLATION_NAME="Boutique Lyon", **QUICK)
    jar = aiohttp.CookieJar(unsafe=True)
    async with bot.running(), dog.running(), aiohttp.ClientSession(cookie_jar=jar) as http, Client(bot.url) as api:

        async def page(path: str = "/", **headers: str) -> str:
            async with http.get(bot.url + path, headers=headers) as answer:
                return await answer.text()

        async with http.post(
            bot.url + "/login", data={"key": API_KEY, "next": "/"}, headers={"Origin": bot.url}
        ) as answer:
            assert answer.status == 200

        async def linked() -> str:
            text = await page()
            return text if "Open the watchdog" in text else ""

        found = await eventually(linked, every_s=0.2, what="the link to the watchdog")
        assert f'<a href="http://localhost:{dog.port}/operator"' in found
        assert "Boutique Lyon" in re.findall(r"<title>([^<]*)</title>", found)[0]
        assert "since " in found
        assert "30 days" not in found, "the watchdog has run for seconds"
        # Who reads from elsewhere cannot use an address of the machine itself.
        assert "Open the watchdog" not in await page(Host=f"bot.internal:{bot.port}")
        async with signed_in(dog.url) as operator:
            assert f'<a href="http://localhost:{bot.port}"' in await operator.page()
        # A group without sessions yet; then one of its two sessions is ready.

        async def unused() -> bool:
            return "not in use" in await status_page(dog.url)

        await eventually(unused, every_s=0.3, what="the component, which comes with the first statistics")
        for name in ("support-1", "support-2"):
            await api.post("/api/sessions", {"id": name})
        await reaches(api, "support-1", "PAIRING")
        await api.post("/api/sessions/support-1/simulate", {"action": "scan"})

        async def partly() -> bool:
            return "partly disturbed" in await status_page(dog.url)

        await eventually(partly, every_s=0.3, what="the component that is partly disturbed")
        report = await api.get("/api/keepalive")
        assert report["watchdogPage"] == f"http://localhost:{dog.port}"


async def status_page(url: str) -> str:
    """The status page as customers see it."""
    async with aiohttp.ClientSession() as http, http.get(url + "/") as answer:
        return await answer.text()

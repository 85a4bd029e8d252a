"""How long the lists of the API and the dashboard take with as many sessions as there are."""

from __future__ import annotations

import time
from collections.abc import Callable

import aiohttp
from yarl import URL

from tests.support.processes import API_KEY, Program


async def measure(program: Program, middle: str, show: Callable[[str, list[float]], None], times: int = 100) -> None:
    """``middle`` is the id of a session half way down the list. ``show(what, milliseconds)``."""
    # The cookie of the login is for this host by address, too.
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        form = {"key": API_KEY}
        async with http.post(f"{program.url}/login", data=form, headers={"Origin": program.url}) as answer:
            assert answer.status == 200, answer.status
        key = {"Authorization": f"Bearer {API_KEY}"}
        for what, path, headers in (
            ("`GET /api/sessions`, 50 from the middle", f"/api/sessions?after={middle}", key),
            ("`GET /api/sessions`, 500 from the middle", f"/api/sessions?limit=500&after={middle}", key),
            ("`GET /api/sessions?q=`, a search over all", f"/api/sessions?q={middle}", key),
            ("the dashboard's first page", "/", {}),
            ("the dashboard's page in the middle, searched", "/?search=s&page=20", {}),
        ):
            took = [await _once(http, URL(program.url + path), headers) for _ in range(times)]
            show(what, took)


async def _once(http: aiohttp.ClientSession, url: URL, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    async with http.get(url, headers=headers) as answer:
        await answer.read()
        assert answer.status == 200, (url, answer.status)
    return (time.perf_counter() - began) * 1000

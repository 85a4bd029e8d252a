"""A browser that is signed in to the operator's page of a watchdog, without script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.support.processes import WATCHDOG_TOKEN


@dataclass
class OperatorBrowser:
    """``url`` is the base address of the watchdog; ``token`` stands in the forms of the page."""

    url: str
    http: aiohttp.ClientSession
    token: str = ""

    async def page(self, path: str = "/operator") -> str:
        async with self.http.get(self.url + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()

    async def post(self, command: str, *, origin: str | None = None, **fields: str) -> tuple[int, str]:
        """The status, and where it leads or the page."""
        data = {"token": self.token, **fields}
        headers = {"Origin": self.url if origin is None else origin}
        async with self.http.post(
            f"{self.url}/operator/{command}", data=data, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, answer.headers.get("Location") or await answer.text()

    async def sign_in(self, *, token: str = WATCHDOG_TOKEN, author: str = "Ann", following: str = "/operator") -> int:
        """The status of the answer to the login."""
        data = {"token": token, "author": author, "next": following}
        headers = {"Origin": self.url}
        async with self.http.post(self.url + "/login", data=data, headers=headers, allow_redirects=False) as answer:
            status = answer.status
        if status == 303 and following == "/operator":
            self.token = re.findall(r'name="token" value="([^"]+)"', await self.page())[0]
        return status


@asynccontextmanager
async def stranger(url: str) -> AsyncIterator[OperatorBrowser]:
    """Not signed in."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield OperatorBrowser(url, http)


@asynccontextmanager
async def signed_in(url: str, *, author: str = "Ann") -> AsyncIterator[OperatorBrowser]:
    async with stranger(url) as browser:
        assert await browser.sign_in(author=author) == 303
        yield browser

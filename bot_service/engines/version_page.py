"""Reads the page on which WhatsApp publishes its client version, bounded in time and size."""

from __future__ import annotations

import asyncio
import importlib
import ssl
from typing import Any

import aiohttp

from shared import http_client, logs

log = logs.get(__name__)

TIMEOUT_S = 10.0
MAX_BYTES = 2 * 1024 * 1024
DEFAULT_URL = "https://web.whatsapp.com/sw.js"
# The page is written for browsers, and answers others differently.
_HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/javascript,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.9",
    "Accept-Encoding": "identity",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-User": "?1",
}


class PageError(Exception):
    """The page could not be read. ``result``: ``unreachable``, ``timeout`` or ``bad_answer``.

    The text names no address, because a proxy's may hold a password.
    """

    def __init__(self, result: str, detail: str) -> None:
        super().__init__(detail)
        self.result = result


class VersionPage:
    """``proxy`` is http://, https:// or socks5://, as for the engine."""

    def __init__(self, url: str, proxy: str | None) -> None:
        self._url, self._proxy = url, proxy
        self._socks: Any = None
        self._errors: tuple[type[Exception], ...] = (aiohttp.ClientError, OSError, ValueError)
        if proxy is not None and proxy.startswith("socks5"):
            # Imported for such a proxy only. Its errors have no common base.
            self._socks = importlib.import_module("aiohttp_socks")
            self._errors += (self._socks.ProxyError, self._socks.ProxyConnectionError, self._socks.ProxyTimeoutError)

    async def read(self) -> str:
        """The text of the page. Raises :class:`PageError`."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._read()
        except TimeoutError as error:
            raise PageError("timeout", f"no whole answer within {TIMEOUT_S:g} s") from error
        except self._errors as error:
            raise PageError("unreachable", type(error).__name__) from error

    async def _read(self) -> str:
        # Reading the trusted certificates takes some 20 ms.
        trust = await asyncio.to_thread(ssl.create_default_context)
        proxy = self._proxy
        connector: aiohttp.BaseConnector
        if self._socks is None:
            connector = http_client.Connector(ssl=trust)
        else:
            connector, proxy = http_client.bounded(self._socks.ProxyConnector.from_url(proxy, ssl=trust)), None
        async with (
            http_client.session(connector) as http,
            http.get(self._url, headers=_HEADERS, proxy=proxy, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise PageError("bad_answer", f"status {response.status}")
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise PageError("bad_answer", "the answer is compressed, which was not asked for")
            try:
                return (await http_client.read(response, MAX_BYTES)).decode(errors="replace")
            except http_client.AnswerTooLarge as error:
                raise PageError("bad_answer", str(error)) from None

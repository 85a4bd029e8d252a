"""What the server makes of client versions: builds it refuses, builds it saw, and the page that publishes the newest one."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import Any

from aiohttp import web

from bot_service.domain.client_version import version
from bot_service.engines.neonize.library_copy import builtin_build
from tests.fake_whatsapp.faults import Attrs

_FILLER = "/* " + "x" * 100_000 + " */"
ENDLESS_PIECES, PIECE = 1000, b"x" * 65_536


class Versions:
    """At first everything is accepted, and the page publishes what the installed library announces.

    `minimum` and `refused` say which builds may log in; `announced` counts accepted logins by build, `refusals` the others.

    `published` is the build on the page, `page` how it answers: `ok`, `down` (no answer), `hang`, `endless`, a status such as `503`, or
    any other text, which is the page itself.
    """

    def __init__(self) -> None:
        self.builtin = builtin_build()
        self.minimum = 0
        self.refused: set[int] = set()
        self.announced: Counter[int] = Counter()
        self.refusals: Counter[int] = Counter()
        self.of_account: dict[str, str] = {}
        self.published = self.builtin
        self.page = "ok"
        self.looks = 0
        self._released = asyncio.Event()

    def release(self) -> None:
        """End the answers that hang."""
        self._released.set()

    def failure(self, payload: Any) -> Attrs | None:
        """The refusal that a login or a registration meets because of its build, if any; it is counted."""
        build = announced_build(payload)
        if build < self.minimum or build in self.refused:
            self.refusals[build] += 1
            return {"reason": "405", "location": "fake"}
        return None

    @staticmethod
    def build_hash_fits(payload: Any) -> bool:
        """Whether a new device hashed the version that it announces."""
        expected = hashlib.md5(version(announced_build(payload)).encode()).digest()
        return bool(payload.devicePairingData.buildHash == expected)

    async def html(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(
            request, f'<html><script>{_FILLER}{{"client_revision":{self.published},"x":1}}</script>'
        )

    async def script(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(
            request, rf'{_FILLER}a=JSON.parse("{{\"client_revision\":{self.published},\"x\":1}}")'
        )

    async def _answer(self, request: web.Request, text: str) -> web.StreamResponse:
        self.looks += 1
        if self.page == "ok":
            return web.Response(text=text)
        if self.page == "down":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if self.page == "hang":
            await self._released.wait()
            return web.Response(status=503)
        if self.page == "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(ENDLESS_PIECES):
                await response.write(PIECE)
            return response
        return web.Response(status=int(self.page)) if self.page.isdigit() else web.Response(text=self.page)


def announced_build(payload: Any) -> int:
    """The build that a device announces in its login or registration; 0 when its version is no 2.3000.N."""
    announced = payload.userAgent.appVersion
    return int(announced.tertiary) if (announced.primary, announced.secondary) == (2, 3000) else 0

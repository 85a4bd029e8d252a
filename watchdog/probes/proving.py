"""Connections on which the other end has proved who it is; WATCHDOG_TOKEN leaves only by those.

The proof is asked for on each new connection, before the first request of a client may use it: a
connection that breaks later is replaced by one that proves again (decision 0111).
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.client_proto import ResponseHandler

from shared import http_client
from shared.contract.identity import BOT, CHALLENGE_HEADER, WATCHDOG, Identity, new_challenge
from shared.settings import Secret
from watchdog.probes import http_get
from watchdog.probes.health_answer import KnownBoots, examine, proved_watchdog
from watchdog.probes.http1 import Answer, CutShort
from watchdog.probes.reasons import NotProven

PROOF_TIMEOUT_S = 10.0


class ProvingConnector(http_client.Connector):
    """Connects to the bot at the base address ``url`` only, for clients that send ``token``.

    ``program`` is the one that has to answer there. Raises :class:`NotProven` in place of a
    connection when the other end does not prove itself.
    """

    def __init__(self, url: str, token: Secret, *, program: str = BOT, **options: Any) -> None:
        super().__init__(**options)
        self._health_url, self._identity, self._program = f"{url}/health", Identity(token), program

    async def _create_connection(self, *args: Any, **options: Any) -> ResponseHandler:
        handler = await super()._create_connection(*args, **options)
        try:
            async with asyncio.timeout(PROOF_TIMEOUT_S):
                await self._prove(handler)
        except BaseException:
            if handler.transport is not None:
                handler.transport.abort()
            raise
        return handler

    async def _prove(self, handler: ResponseHandler) -> None:
        transport, challenge = handler.transport, new_challenge()
        if transport is None:
            raise NotProven("the connection is closed already")
        exchange = _Exchange(handler, transport, asyncio.get_running_loop().create_future())
        transport.set_protocol(exchange)
        transport.write(http_get.request(self._health_url, f"{CHALLENGE_HEADER}: {challenge}\r\n", close=False))
        answer = await exchange.answer
        if not self._proved(answer, challenge):
            raise NotProven(f"no proof that the {self._program} answers")

    def _proved(self, answer: Answer, challenge: str) -> bool:
        if self._program == WATCHDOG:
            return proved_watchdog(answer, challenge, self._identity) is not None
        return examine(answer, challenge, self._identity, KnownBoots()).proved


class _Exchange(http_get.AnswerReader):
    """Passes the transport to ``handler`` in the moment that the answer is complete."""

    def __init__(self, handler: ResponseHandler, transport: asyncio.Transport, answer: asyncio.Future[Answer]) -> None:
        super().__init__(answer)
        self._handler, self._transport = handler, transport

    def _complete(self, answer: Answer) -> None:
        self._transport.set_protocol(self._handler)
        super()._complete(answer)

    def _fail(self, error: Exception) -> None:
        super()._fail(NotProven(f"no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)
        if not self.answer.done():
            self.answer.set_exception(exc or CutShort("the connection ended before the proof"))

"""Hands every new message to the handlers of this process, marks it after all of them succeeded, replays it otherwise.

Handlers see each message at least once, in order per chat, also after a crash between the commit and the mark; they must
bear a repetition. A message whose handler keeps failing is given up after five tries and stays readable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from bot_service.domain.message import InboundMessage
from bot_service.store import messages
from bot_service.store.batch_writer import STORE_ERRORS, retried_on_store_errors
from bot_service.store.database import Database
from bot_service.store.messages import StoredMessage
from shared import logs
from shared.clock import Clock, to_ms
from shared.retry import full_jitter
from shared.wake import Wake

log = logs.get(__name__)

Handler = Callable[[Sequence[InboundMessage]], Awaitable[None]]

_BATCH = 50
_TRIES = 5
_DECODER = msgspec.json.Decoder(InboundMessage)


class InboundHandlers:
    """Handlers are added before :meth:`run` starts."""

    def __init__(self, clock: Clock, database: Database) -> None:
        self._clock, self._database = clock, database
        self._handlers: list[Handler] = []
        self._wake = Wake(clock)

    def add(self, handler: Handler) -> None:
        self._handlers.append(handler)

    def wake(self) -> None:
        """New messages were committed."""
        self._wake.set()

    async def run(self) -> None:
        """The loop; begins with what an earlier run of the program left behind."""
        while True:
            try:
                async with self._database.read() as connection:
                    rows = await messages.to_handle(connection, _BATCH)
            except STORE_ERRORS as error:
                log.warning("Messages could not be read", event_name="handlers.store", error=type(error).__name__)
                await self._clock.sleep(1.0)
                continue
            if not rows:
                await self._wake.wait()
                continue
            await self._handle(rows)

    async def _handle(self, rows: list[StoredMessage]) -> None:
        try:
            await self._call([_DECODER.decode(row.body) for row in rows])
        except Exception as error:
            log.warning("A handler failed, trying one by one", event_name="handlers.failed", error=type(error).__name__)
            for row in rows:
                await self._handle_one(row)
        else:
            await self._mark(rows)

    async def _call(self, batch: Sequence[InboundMessage]) -> None:
        for handler in self._handlers:
            await handler(batch)

    async def _handle_one(self, row: StoredMessage) -> None:
        for attempt in range(_TRIES):
            try:
                await self._call([_DECODER.decode(row.body)])
            except Exception as error:
                if attempt + 1 == _TRIES:
                    log.exception("A message's handler failed for good", event_name="handlers.given_up")
                    await self._give_up(row, type(error).__name__)
                else:
                    await self._clock.sleep(full_jitter(attempt, first_s=0.2, cap_s=5.0))
            else:
                await self._mark([row])
                return

    async def _mark(self, rows: list[StoredMessage]) -> None:
        async def mark() -> None:
            async with self._database.write() as connection:
                await messages.mark_handled(connection, [row.seq for row in rows], to_ms(self._clock.now()))

        await retried_on_store_errors("handlers", self._clock, mark)

    async def _give_up(self, row: StoredMessage, error: str) -> None:
        async def give_up() -> None:
            async with self._database.write() as connection:
                await messages.mark_unhandled(connection, row.seq, error, to_ms(self._clock.now()))

        await retried_on_store_errors("handlers", self._clock, give_up)

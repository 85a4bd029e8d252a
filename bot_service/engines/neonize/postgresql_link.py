"""Connections to PostgreSQL for the library's threads: an event loop on a thread of its own.

Nothing waits for longer than its limit, and a connection that failed is not used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from typing import Any, TypeVar

import asyncpg

from bot_service.engines.neonize.device_store import StoreFailed

Result = TypeVar("Result")
Step = Callable[[Any], Awaitable[Result]]

CONNECT_S = 3.0
AT_ONCE = 4
# What a thread waits beyond the limit of its statement.
MARGIN_S = 1.0
SETTINGS = {"application_name": "veilleur worker", "idle_in_transaction_session_timeout": "10s", "jit": "off"}
# "Insufficient privilege" is what the fence answers; the rest are states of a server or a connection.
ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class PostgresqlLink:
    """``address`` is the server, not a pooler: statements are prepared, and marks need their order."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._idle: list[Any] = []
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._thread = threading.Thread(target=self._loop.run_forever, name="device-store", daemon=True)
        self._thread.start()

    def run(self, step: Step[Result], within_s: float) -> Result:
        """The answer of ``step`` with a connection; blocks. Raises :class:`StoreFailed`."""
        future = self.spawn(self.one(step, within_s))
        try:
            return future.result(within_s + MARGIN_S)
        except (NoAnswer, *ERRORS) as error:
            future.cancel()
            raise StoreFailed(why(error)) from error

    def spawn(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[[], object]) -> None:
        """Call it on the loop, soon."""
        self._loop.call_soon_threadsafe(function)

    async def connect(self, **settings: str) -> Any:
        """A connection of the caller's own. Raises :data:`ERRORS`."""
        return await asyncpg.connect(self._address, timeout=CONNECT_S, server_settings={**SETTINGS, **settings})

    async def one(self, step: Step[Result], within_s: float) -> Result:
        """The answer of ``step`` with a connection. Raises :data:`ERRORS`."""
        async with asyncio.timeout(within_s), self._slots:
            connection = None
            while connection is None and self._idle:
                found = self._idle.pop()
                connection = None if found.is_closed() else found
            connection = connection or await self.connect()
            try:
                result = await step(connection)
            except BaseException:
                connection.terminate()
                raise
            self._idle.append(connection)
            return result

    def close(self) -> None:
        """Ends the connections and the thread."""

        def end() -> None:
            for connection in self._idle:
                connection.terminate()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.call_later(0.05, self._loop.stop)

        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(end)
            self._thread.join(2.0)
            if not self._thread.is_alive():
                self._loop.close()


def why(error: BaseException) -> str:
    """For logs: no values of rows."""
    if isinstance(error, asyncpg.PostgresError):
        return f"PostgreSQL refuses: {getattr(error, 'message', None) or type(error).__name__}"
    return "PostgreSQL does not answer" if isinstance(error, TimeoutError) else f"PostgreSQL: {type(error).__name__}"

"""A pool of connections to PostgreSQL. Only this module imports the driver: SQLite never loads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_S = 5.0
# Of one statement. A server that does not answer must not stop the service's loops for good.
STATEMENT_S = 30.0
# A service that hangs inside a transaction gives back its row locks after this time.
_SETTINGS = {"idle_in_transaction_session_timeout": "10s", "jit": "off"}
NAME = "veilleur"


def pool(url: str, *, size: int, name: str = NAME) -> AsyncEngine:
    """Up to ``size`` connections, made when they are needed. ``url`` is as libpq understands it, ``sslmode`` too.

    ``name`` is by which the server knows them.
    """

    async def connect() -> asyncpg.Connection[Any]:
        return await _connect(url, name)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=size,
        max_overflow=0,
        # The connection used last knows the most statements already.
        pool_use_lifo=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    event.listen(engine.sync_engine, "handle_error", _translate)
    return engine


async def _connect(url: str, name: str) -> asyncpg.Connection[Any]:
    try:
        settings = {**_SETTINGS, "application_name": name}
        return await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=STATEMENT_S, server_settings=settings)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        # SQLAlchemy translates errors of statements, not those of a connect.
        raise ConnectionError(f"PostgreSQL accepts no connection: {error or 'no answer'}") from error


async def listen(url: str, channels: Mapping[str, Callable[[], object]], *, name: str) -> None:
    """Call what belongs to a channel at once, and at each notification; returns when the connection ended.

    Raises ``OSError`` when there is none. A notification may be lost: it says only that it is time to look.
    """
    connection = await _connect(url, name)
    try:
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        for channel in channels:
            await connection.add_listener(channel, lambda _connection, _pid, channel, _payload: channels[channel]())
        for notified in channels.values():
            notified()
        await ended.wait()
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ConnectionError(f"PostgreSQL gives no notifications: {error}") from error
    finally:
        connection.terminate()


async def application_names(url: str, names: Sequence[str]) -> list[str]:
    """By which names the server behind ``url`` knows connections that call themselves ``names``. Raises ``OSError``."""
    connections = []
    try:
        for name in names:
            # Without prepared statements, which poolers do not know, and without settings that they refuse.
            connections.append(  # noqa: PERF401  what is open is closed when the next one fails
                await asyncpg.connect(
                    url, timeout=CONNECT_S, command_timeout=CONNECT_S, statement_cache_size=0,
                    server_settings={"application_name": name},
                )
            )  # fmt: skip
        found = []
        for connection in connections:
            async with connection.transaction():
                found.append(str(await connection.fetchval("SELECT current_setting('application_name')")))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise ConnectionError(f"the pooler accepts no connection: {error or 'no answer'}") from error
    else:
        return found
    finally:
        for connection in connections:
            connection.terminate()


async def is_shared(url: str) -> bool:
    """Whether two clients of ``url`` use one connection to the server, as behind a pooler in transaction mode.

    Raises ``OSError``.
    """
    connections: list[asyncpg.Connection[Any]] = []
    try:
        for _ in range(2):
            connections.append(  # noqa: PERF401
                await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=CONNECT_S, statement_cache_size=0)
            )
        # A busy pooler may give them different ones for once.
        for _ in range(5):
            pids = [await connection.fetchval("SELECT pg_backend_pid()") for connection in connections]
            if pids[0] == pids[1]:
                return True
    except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise ConnectionError(f"the pooler accepts no connection: {error or 'no answer'}") from error
    else:
        return False
    finally:
        for connection in connections:
            connection.terminate()


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """After a restart of the server the pool makes new connections. This asks the driver, not the server."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _translate(context: ExceptionContext) -> None:
    """A statement that ran out of time, or lost its connection halfway, is an error of the store."""
    if isinstance(context.original_exception, OSError):  # TimeoutError is one
        context.is_disconnect = True
        raise ConnectionError("PostgreSQL does not answer") from context.original_exception

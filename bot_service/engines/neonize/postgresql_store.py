"""Device stores of all sessions in one PostgreSQL, through the library's own driver.

Each start of a client is an opening: it gets a number that fences off every client before it, on this machine or
another one. Loaded only by a worker that gets an address of such a store.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

from bot_service.engines.neonize import postgresql_schema
from bot_service.engines.neonize.decrypt_marks import DecryptMark
from bot_service.engines.neonize.device_store import DeviceStore, StoreFailed
from bot_service.engines.neonize.library import Library
from bot_service.engines.neonize.lost_messages import DOUBTFUL
from bot_service.engines.neonize.postgresql_link import PostgresqlLink
from bot_service.engines.neonize.postgresql_marks import PostgresqlMarks, PostgresqlSent
from bot_service.engines.neonize.postgresql_writer import Writer
from bot_service.engines.neonize.ratchet_rollback import (
    PRE_KEYS,
    SENDER_KEYS,
    SESSIONS,
    RollbackResult,
    plan,
    users_of,
)
from bot_service.engines.neonize.sent_messages import KEPT, SentMessage
from bot_service.engines.port import EngineError
from bot_service.engines.wire.device_store import DeviceStoreAddress
from shared import logs

log = logs.get(__name__)

OPEN_S, DIAL_S, SCHEMA_S, FLUSH_S = 5.0, 3.0, 60.0, 1.0
DIAL_AGAIN_S = 0.5
# The exit code of a worker without a lease, as when its replica could not renew it.
FENCED_EXIT = 75

_LEASE = "SELECT holder FROM leases WHERE id = $1 AND epoch = $2 AND holder IS NOT NULL FOR SHARE"
_OPEN = """
INSERT INTO veilleur_devices AS d (session, epoch, opening) VALUES ($1, $2, 1)
ON CONFLICT (session) DO UPDATE SET opening = d.opening + 1, epoch = excluded.epoch
RETURNING number, opening, jid, begun_id, begun_ms, done_id, done_ms, doubt_id, doubt_ms
"""
_LEASE_NOW = """
SELECT d.opening = $2 AND d.epoch = leases.epoch AS ours, coalesce(leases.holder = $3, false) AND alive AS held, alive
FROM veilleur_devices AS d JOIN leases ON leases.id = d.session, (SELECT EXISTS (SELECT 1 FROM replicas
    WHERE id = $3 AND expires_ms > extract(epoch FROM clock_timestamp()) * 1000) AS alive) AS replica
WHERE d.number = $1
"""
_OLD = "SELECT tab, k1, k2, k3, old FROM veilleur_undo WHERE device = $1 ORDER BY seq"
_SENT = (
    "SELECT message_id, whatsapp_id, chat, taken_ms FROM sent_messages WHERE session = $1 ORDER BY seq DESC LIMIT $2"
)
_FORGET_SENT = (
    "DELETE FROM sent_messages WHERE session = $1"
    " AND seq <= (SELECT seq FROM sent_messages WHERE session = $1 ORDER BY seq DESC OFFSET $2 LIMIT 1)"
)
_UPDATE = {
    SESSIONS: "UPDATE whatsmeow_sessions SET session = $3 WHERE our_jid = $1 AND their_id = $2",
    SENDER_KEYS: "UPDATE whatsmeow_sender_keys SET sender_key = $4 WHERE our_jid = $1 AND chat_id = $2 AND sender_id = $3",
}
_DELETE = {
    SESSIONS: "DELETE FROM whatsmeow_sessions WHERE our_jid = $1 AND their_id = $2",
    SENDER_KEYS: "DELETE FROM whatsmeow_sender_keys WHERE our_jid = $1 AND chat_id = $2 AND sender_id = $3",
}
_RETURN_KEY = (
    "INSERT INTO whatsmeow_pre_keys (jid, key_id, uploaded, key) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
)


class _Opened(NamedTuple):
    number: int
    opening: int
    replica: str
    jid: str | None
    lost: dict[str, str]
    again: str | None
    """The message that was taken back and will be read again."""
    sent: list[SentMessage]


class PostgresqlStores:
    """One per worker process."""

    def __init__(self, address: DeviceStoreAddress, library: Library, rows_written: Callable[[], None]) -> None:
        self._address, self._library = address, library
        self._link = PostgresqlLink(address.server)
        self._writer = Writer(self._link, rows_written)
        self._complete = threading.Lock()
        self._is_complete = False
        # Of each session, set once an opening after it was made here.
        self._superseded: dict[str, threading.Event] = {}

    def open(self, session: str, epoch: int | None) -> tuple[DeviceStore, dict[str, str]]:
        """Raises :class:`EngineError` ``no_lease``, :class:`StoreFailed`, ``OSError``."""
        self._make_schema()
        opened = self._link.run(lambda connection: _open(connection, session, epoch or 0), OPEN_S)
        before, fenced = self._superseded.pop(session, None), threading.Event()
        if before is not None:
            before.set()
        self._superseded[session] = fenced
        if opened.again is not None:
            log.info(
                "An unfinished message will be read again",
                event_name="message.again",
                session=session,
                message_id=opened.again,
            )
        name = f"veilleur device {opened.number} {opened.opening}"
        marks = PostgresqlMarks(self._writer, opened.number, opened.opening)
        store = DeviceStore(
            self._address.for_driver(name),
            marks,
            PostgresqlSent(marks, opened.sent, lambda: self._forget_sent(session)),
            jid=opened.jid,
            new_device=opened.jid is None,
            may_dial=lambda over: self._may_dial(session, opened, over),
            check_owner=lambda: self._check_owner(session, opened),
            wait_until_fenced=lambda: _wait(fenced),
            journal=marks,
        )
        return store, opened.lost

    def close(self) -> None:
        self._writer.flush(FLUSH_S)
        self._link.close()

    def _forget_sent(self, session: str) -> None:
        self._link.spawn(self._link.one(lambda connection: connection.execute(_FORGET_SENT, session, KEPT), OPEN_S))

    def _make_schema(self) -> None:
        with self._complete:
            if self._is_complete:
                return
            dsn = self._address.for_driver(postgresql_schema.MAKER)

            async def make() -> None:
                await asyncio.to_thread(self._library.make_tables, dsn)

            self._link.run(
                lambda connection: postgresql_schema.complete(connection, version("neonize"), make), SCHEMA_S
            )
            self._is_complete = True

    def _may_dial(self, session: str, opened: _Opened, over: Callable[[], bool]) -> bool:
        """Asks PostgreSQL, by its clock, until it answers: a process that stood still knows no time."""
        while not over():
            try:
                found = self._link.run(lambda connection: _lease(connection, opened), DIAL_S)
            except StoreFailed:
                time.sleep(DIAL_AGAIN_S)
                continue
            return self._is_owner(session, found) and not over()
        return False

    def _check_owner(self, session: str, opened: _Opened) -> None:
        """After a failure: it may have been the fence."""
        with contextlib.suppress(StoreFailed):
            self._is_owner(session, self._link.run(lambda connection: _lease(connection, opened), DIAL_S))

    def _is_owner(self, session: str, found: Any) -> bool:
        if found is not None and found["ours"] and found["held"]:
            return True
        log.error("The session runs elsewhere by now", event_name="session.fenced", session=session)
        if found is None or not found["alive"]:
            # The replica of this worker has no lease: nothing of it may go on, not even an orderly end.
            os._exit(FENCED_EXIT)
        return False


def _wait(fenced: threading.Event) -> None:
    fenced.wait()


async def _lease(connection: Any, opened: _Opened) -> Any:
    return await connection.fetchrow(_LEASE_NOW, opened.number, opened.opening, opened.replica)


async def _open(connection: Any, session: str, epoch: int) -> _Opened:
    async with connection.transaction():
        await connection.execute("SET LOCAL veilleur.maintenance = 'on'")
        replica = await connection.fetchval(_LEASE, session, epoch)
        if replica is None:
            raise EngineError("no_lease", "the session has another owner", retryable=True)
        # Waits for what the opening before has begun to write, and for nothing that comes later.
        row = await connection.fetchrow(_OPEN, session, epoch)
        unfinished, doubtful = _unfinished(row), row["doubt_id"]
        lost, again = {}, None
        if unfinished is not None:
            outcome = await _undo(connection, row["number"])
            if outcome in (RollbackResult.SENT_BETWEEN, RollbackResult.TOO_MUCH):
                lost[unfinished.message_id] = outcome.value
            else:
                again = unfinished.message_id
        if doubtful is not None and (unfinished is None or doubtful != unfinished.message_id):
            lost[doubtful] = DOUBTFUL
        await connection.execute("DELETE FROM veilleur_undo WHERE device = $1", row["number"])
        await connection.execute(
            "UPDATE veilleur_devices SET done_id = begun_id, done_ms = begun_ms, doubt_id = NULL, doubt_ms = NULL"
            " WHERE number = $1",
            row["number"],
        )
    sent = [SentMessage(*each) for each in reversed(await connection.fetch(_SENT, session, KEPT))]
    return _Opened(row["number"], row["opening"], replica, row["jid"], lost, again, sent)


def _unfinished(row: Any) -> DecryptMark | None:
    if row["begun_id"] is None or (row["done_id"] == row["begun_id"] and row["done_ms"] >= row["begun_ms"]):
        return None
    return DecryptMark(row["begun_id"], row["begun_ms"])


async def _undo(connection: Any, number: int) -> RollbackResult:
    rows = [tuple(row) for row in await connection.fetch(_OLD, number)]
    keys = {(k1, k2) for table, k1, k2, *_ in rows if table == SESSIONS}
    now = {}
    for addresses in keys:
        query = "SELECT session FROM whatsmeow_sessions WHERE our_jid = $1 AND their_id = $2"
        now[addresses] = await connection.fetchval(query, *addresses)
    devices = await connection.fetch(
        "SELECT jid, lid FROM whatsmeow_device WHERE jid = (SELECT jid FROM veilleur_devices WHERE number = $1)", number
    )
    own = users_of(address for device in devices for address in device)
    outcome, back = plan(rows, own, lambda our, their: now[our, their])
    for table, key, old in back:
        if table == PRE_KEYS:
            await connection.execute(_RETURN_KEY, key[0], int(key[1]), key[2] == "1", old)
            continue
        where: tuple[str, ...] = key if table == SENDER_KEYS else key[:2]
        if old is None:
            await connection.execute(_DELETE[table], *where)
        else:
            await connection.execute(_UPDATE[table], *where, old)
    return outcome

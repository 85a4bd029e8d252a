"""Keeps sessions and their transitions: changes are gathered for a moment and written in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.domain.states import Actor, State
from bot_service.store.database import Database
from bot_service.store.session_tables import sessions, transitions
from shared import logs
from shared.clock import Clock

log = logs.get(__name__)

# More rows than this in one transaction would hold the event loop for too long: making them is a few milliseconds of work.
BATCH = 50
PAGE = 200
GATHER_S = 0.02
RETRY_S = 1.0

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(SessionRecord)

RecordOf = Callable[[str], SessionRecord | None]
TransitionSink = Callable[[AsyncConnection, list[Transition], RecordOf], Awaitable[None]]
DeleteSink = Callable[[AsyncConnection, str], Awaitable[None]]


class StoreUnavailable(Exception):
    """The store did not take a write: disk full, locked, gone. What was to be written is kept and tried again."""


def upsert(dialect: str, table: sa.Table, keys: list[str], *, only: list[str] | None = None) -> sa.Insert:
    """INSERT that overwrites the row with the same ``keys``, or ``only`` some of its columns; for SQLite and PostgreSQL."""
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    names = only or [column.name for column in table.columns if column.name not in keys]
    others = {name: insert.excluded[name] for name in names}
    return insert.on_conflict_do_update(index_elements=keys, set_=others)


def row_of(record: SessionRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "owner": record.owner,
        "name": record.name,
        "created_ms": record.created_ms,
        "wanted": record.wanted.value,
        "state": record.state.value,
        "reason": record.reason,
        "jid": record.jid,
        "record": _ENCODER.encode(record),
    }


def _transition_row(change: Transition) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(change, name) for name in ("session", "at_ms", "reason", "detail")}
    return row | {
        "from_state": change.from_state.value,
        "to_state": change.to_state.value,
        "actor": change.actor.value,
    }


class SessionStore:
    """Reads are direct; writes go through :meth:`mark` and the loop :meth:`run`, or wait for :meth:`flush`."""

    def __init__(self, database: Database, clock: Clock, *, transitions_kept: int = 50) -> None:
        self._database, self._clock, self._kept = database, clock, transitions_kept
        self._upsert = upsert(database.dialect, sessions, ["id"])
        self._dirty: dict[str, SessionRecord] = {}
        self._changes: list[Transition] = []
        self._untrimmed: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._failing: str | None = None
        self._marked = self._written = 0
        self.transition_sinks: list[TransitionSink] = []
        self.delete_sinks: list[DeleteSink] = []

    @property
    def failing(self) -> str | None:
        """Why what was marked could not be written; None when it was, or is not wanted any more."""
        return self._failing if self._written < self._marked else None

    def mark(self, record: SessionRecord, change: Transition | None = None) -> None:
        """To be written soon."""
        self._marked += 1
        self._dirty[record.id] = record
        if change is not None:
            self._changes.append(change)
        self._wake.set()

    async def run(self) -> None:
        """The loop that writes; it goes on through every failure of the store."""
        while True:
            await self._wake.wait()
            await self._clock.sleep(GATHER_S)
            try:
                await self.flush()
            except StoreUnavailable:
                await self._clock.sleep(RETRY_S)

    async def flush(self) -> None:
        """Returns when everything marked so far is committed. Raises :class:`StoreUnavailable`.

        Many who wait share one transaction: whoever comes first writes for all, and what is marked meanwhile is the next's.
        """
        mine = self._marked
        while self._written < mine:
            async with self._turn:
                if self._written < mine:
                    await self._write_for_all()

    async def _write_for_all(self) -> None:
        # Others wait for this transaction too: whoever goes away in the middle of it stays until it has ended.
        batch = asyncio.create_task(self._write_batch(), name="store.batch")
        try:
            await asyncio.shield(batch)
        except asyncio.CancelledError:
            await asyncio.wait({batch})
            if not batch.cancelled():
                batch.exception()  # looked at: what failed is kept and told by the next
            raise

    def drop(self, session: str) -> bool:
        """What was marked of ``session`` is not to be written after all; False when it is written, or being written."""
        if self._dirty.pop(session, None) is None:
            return False
        self._changes = [change for change in self._changes if change.session != session]
        if not self._dirty and not self._changes and not self._turn.locked():
            self._written = self._marked  # nothing waits any more, so nothing fails to be written
        return True

    async def _write_batch(self) -> None:
        begun = self._marked
        self._wake.clear()
        ids = list(islice(self._dirty, BATCH))
        records = {name: self._dirty.pop(name) for name in ids}
        # Changes stay in order; those of sessions further back wait for a later batch of this same flush.
        changes, self._changes = self._changes[: BATCH * 2], self._changes[BATCH * 2 :]
        everything = not self._dirty and not self._changes
        if not records and not changes:
            self._written = begun  # what was marked has gone with its session
            return
        try:
            async with self._database.write() as connection:
                if records:
                    await connection.execute(self._upsert, [row_of(record) for record in records.values()])
                if changes:
                    await connection.execute(sa.insert(transitions), [_transition_row(change) for change in changes])
                    await self._trim(connection, changes)
                    for sink in self.transition_sinks:
                        await sink(connection, changes, lambda name: records.get(name) or self._dirty.get(name))
        except (SQLAlchemyError, OSError) as error:
            self._keep_for_later(records, changes)
            self._fail(error)
        else:
            if everything:
                self._written = begun
            self._succeed()

    def _keep_for_later(self, records: dict[str, SessionRecord], changes: list[Transition]) -> None:
        self._dirty = records | self._dirty
        self._changes = changes + self._changes
        self._wake.set()

    def _succeed(self) -> None:
        if self._failing is not None:
            log.info("The store takes writes again", event_name="store.recovered")
            self._failing = None

    def _fail(self, error: Exception) -> None:
        reason = str(getattr(error, "orig", None) or error)[:200]
        if self._failing is None:
            log.error(f"The store does not take writes: {reason}", event_name="store.failing")
        self._failing = reason
        raise StoreUnavailable(reason) from error

    async def _trim(self, connection: AsyncConnection, changes: list[Transition]) -> None:
        for change in changes:
            count = self._untrimmed[change.session] = self._untrimmed.get(change.session, 0) + 1
            if count <= self._kept:
                continue
            self._untrimmed[change.session] = 0
            newest = sa.select(transitions.c.seq).where(transitions.c.session == change.session)
            oldest_kept = newest.order_by(transitions.c.seq.desc()).limit(1).offset(self._kept).scalar_subquery()
            stale = (transitions.c.session == change.session) & (transitions.c.seq <= oldest_kept)
            await connection.execute(sa.delete(transitions).where(stale))

    async def load(self) -> list[SessionRecord]:
        """Every session, oldest first. Rows that this version cannot read are named in the log and left alone."""
        found: list[SessionRecord] = []
        order = sa.tuple_(sessions.c.created_ms, sessions.c.id)
        query = sa.select(sessions.c.created_ms, sessions.c.id, sessions.c.record).order_by(*order).limit(PAGE)
        last: tuple[int, str] | None = None
        while True:
            async with self._database.read() as connection:
                page = query if last is None else query.where(order > sa.tuple_(*map(sa.literal, last)))
                rows = (await connection.execute(page)).all()
            for _, name, raw in rows:
                try:
                    found.append(_DECODER.decode(raw))
                except msgspec.DecodeError as error:
                    why = str(error)
                    log.error("A session cannot be read and is left alone", event_name="store.row", id=name, why=why)
            if len(rows) < PAGE:
                return found
            last = (rows[-1][0], rows[-1][1])

    async def delete(self, session: str) -> None:
        """The session and everything kept of it, in one transaction. Raises :class:`StoreUnavailable`."""
        async with self._turn:
            self._dirty.pop(session, None)
            self._changes = [change for change in self._changes if change.session != session]
            self._untrimmed.pop(session, None)
            try:
                async with self._database.write() as connection:
                    await connection.execute(sa.delete(transitions).where(transitions.c.session == session))
                    await connection.execute(sa.delete(sessions).where(sessions.c.id == session))
                    for sink in self.delete_sinks:
                        await sink(connection, session)
            except (SQLAlchemyError, OSError) as error:
                self._fail(error)
            else:
                self._succeed()

    async def transitions(self, session: str) -> list[Transition]:
        """The kept transitions, newest first; up to the state that is told now, unless the store takes no writes."""
        if self._failing is None:
            with contextlib.suppress(StoreUnavailable):
                await self.flush()
        own = sa.select(transitions).where(transitions.c.session == session)
        query = own.order_by(transitions.c.seq.desc()).limit(self._kept)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [
            Transition(
                session=row["session"],
                at_ms=row["at_ms"],
                from_state=State(row["from_state"]),
                to_state=State(row["to_state"]),
                reason=row["reason"],
                detail=row["detail"],
                actor=Actor(row["actor"]),
            )
            for row in rows
        ]

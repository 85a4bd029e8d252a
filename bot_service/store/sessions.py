"""Stores sessions and their transitions: changes of a short time share one transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.refused import Refused, RunsElsewhere
from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.domain.states import Actor, State
from bot_service.store import leftovers
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.errors import why
from bot_service.store.metadata import SESSION_ID, metadata
from bot_service.store.upsert import upsert
from shared import logs
from shared.clock import Clock
from shared.hooks import Hook

log = logs.get(__name__)

# More rows in one transaction would block the event loop: encoding them takes milliseconds.
BATCH = 50
PAGE = 200
GATHER_S = 0.02
RETRY_S = 1.0

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(SessionRecord)

RecordOf = Callable[[str], SessionRecord | None]
TransitionSink = Callable[[AsyncConnection, list[Transition], RecordOf], Awaitable[None]]
DeleteSink = Callable[[AsyncConnection, str], Awaitable[None]]
Fence = Callable[[AsyncConnection, Collection[str]], Awaitable[set[str]]]


sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", SESSION_ID, primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("wanted", sa.String(8), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("jid", sa.String(128)),
    # The whole record as JSON, which row_of() writes: read whole and never searched.
    sa.Column("record", sa.LargeBinary, nullable=False),
)

transitions = sa.Table(
    "transitions",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("session", SESSION_ID, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("from_state", sa.String(16), nullable=False),
    sa.Column("to_state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("detail", sa.String(500)),
    sa.Column("actor", sa.String(16), nullable=False),
    sa.Index("transitions_by_session", "session", "seq"),
)


class StoreUnavailable(Refused):
    """The store refused a write: disk full, locked, gone. The change is kept and tried again."""

    def __init__(self, why: str) -> None:
        super().__init__("store_unavailable", f"the store does not take writes: {why}")


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


def readable(session: str, raw: bytes) -> SessionRecord | None:
    """A stored record; None, and a line in the log, for one that this version cannot read."""
    try:
        return _DECODER.decode(raw)
    except msgspec.DecodeError as error:
        log.error("A session cannot be read and is left alone", event_name="store.row", id=session, why=str(error))
        return None


class SessionStore:
    """Reads are direct. :meth:`mark` leaves writes to :meth:`run`; :meth:`flush` waits for them.

    ``fence``, with several replicas: which sessions may still be written, decided in the same
    transaction. The others are dropped, and ``fenced`` notifies of their ids.
    """

    def __init__(self, database: Database, clock: Clock, *, transitions_kept: int = 50) -> None:
        self._database, self._clock, self._kept = database, clock, transitions_kept
        self._dirty: dict[str, SessionRecord] = {}
        self._changes: list[Transition] = []
        self._new: set[str] = set()
        # Ids of deleted sessions: those of this run, and those under which the last one left rows.
        self._used: set[str] = set()
        self._untrimmed: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._failing: str | None = None
        self._marked = self._written = 0
        self.transition_sinks: list[TransitionSink] = []
        self.delete_sinks: list[DeleteSink] = []
        self.fence: Fence | None = None
        self.fenced: Hook[[set[str]]] = Hook()

    @property
    def failing(self) -> str | None:
        """Why marked changes could not be written; None when nothing waits."""
        return self._failing if self._written < self._marked else None

    def mark(self, record: SessionRecord, change: Transition | None = None, *, new: bool = False) -> None:
        """Write ``record`` soon, with the ``change`` that led to it.

        ``new``: what an earlier session with this id left is deleted in the same transaction.
        """
        self._marked += 1
        if new:
            self._new.add(record.id)
        self._dirty[record.id] = record
        if change is not None:
            self._changes.append(change)
        self._wake.set()

    async def run(self) -> None:
        """The loop that writes; it continues after every failure of the store."""
        while True:
            await self._wake.wait()
            await self._clock.sleep(GATHER_S)
            try:
                await self.flush()
            except StoreUnavailable:
                await self._clock.sleep(RETRY_S)

    async def flush(self) -> None:
        """Return when everything marked so far is committed. Raises :class:`StoreUnavailable`.

        Concurrent callers share one transaction: the first one writes for all of them.
        """
        mine = self._marked
        while self._written < mine:
            async with self._turn:
                if self._written < mine:
                    await self._write_shielded()

    async def _write_shielded(self) -> None:
        # Other callers wait for this transaction too, so a cancelled caller waits for its end.
        batch = asyncio.create_task(self._write_batch(), name="store.batch")
        try:
            await asyncio.shield(batch)
        except asyncio.CancelledError:
            await asyncio.wait({batch})
            if not batch.cancelled():
                batch.exception()  # retrieved: the failed changes are kept, the next write reports them
            raise

    def drop(self, session: str) -> bool:
        """Forget what was marked of ``session``; False when it is written, or being written."""
        if self._dirty.pop(session, None) is None:
            return False
        self._changes = [change for change in self._changes if change.session != session]
        self._new.discard(session)
        if not self._dirty and not self._changes and not self._turn.locked():
            self._written = self._marked  # nothing waits, so no failure is left to report
        return True

    async def _write_batch(self) -> None:
        begun = self._marked
        self._wake.clear()
        ids = list(islice(self._dirty, BATCH))
        records = {name: self._dirty.pop(name) for name in ids}
        reused = [name for name in ids if name in self._new and name in self._used]
        # Changes stay in order; the rest waits for a later batch of this flush.
        changes, self._changes = self._changes[: BATCH * 2], self._changes[BATCH * 2 :]
        everything = not self._dirty and not self._changes
        lost: set[str] = set()
        if not records and not changes:
            self._written = begun  # the marked session was dropped
            return
        try:
            async with self._database.write() as connection:
                if self.fence is not None:
                    names = records.keys() | {change.session for change in changes}
                    own = await self.fence(connection, names)
                    lost = names - own
                    records = {name: record for name, record in records.items() if name in own}
                    changes = [change for change in changes if change.session in own]
                if reused:
                    await leftovers.remove(connection, reused)
                await upsert(connection, sessions, [row_of(record) for record in records.values()], key="id")
                await self._write_changes(connection, changes, lambda name: records.get(name) or self._dirty.get(name))
        except STORE_ERRORS as error:
            self._dirty = records | self._dirty
            self._changes = changes + self._changes
            self._wake.set()
            self._fail(error)
        else:
            self._new.difference_update(ids)
            if everything:
                self._written = begun
            self._succeed()
            if lost:
                self.fenced(lost)

    async def _write_changes(self, connection: AsyncConnection, changes: list[Transition], record_of: RecordOf) -> None:
        if changes:
            await connection.execute(sa.insert(transitions), [msgspec.structs.asdict(change) for change in changes])
            await self._trim(connection, changes)
            for sink in self.transition_sinks:
                await sink(connection, changes, record_of)

    async def insert(self, connection: AsyncConnection, record: SessionRecord, change: Transition | None) -> None:
        """Write a new session inside the caller's transaction, instead of :meth:`mark` with ``new``."""
        if record.id in self._used:
            await leftovers.remove(connection, [record.id])
        await upsert(connection, sessions, [row_of(record)], key="id")
        await self._write_changes(connection, [change] if change is not None else [], {record.id: record}.get)

    def _succeed(self) -> None:
        if self._failing is not None:
            log.info("The store takes writes again", event_name="store.recovered")
            self._failing = None

    def _fail(self, error: Exception) -> None:
        reason = why(error)
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

    async def find_leftovers(self) -> None:
        """At the start: under which ids earlier sessions left rows."""
        async with self._database.read() as connection:
            self._used |= await leftovers.find(connection)

    def note_deleted(self, session: str) -> None:
        """Another replica deleted it: what is left under its id is not of a later session."""
        self._used.add(session)

    async def load(self) -> list[SessionRecord]:
        """Every session, oldest first. Rows that this version cannot read are logged and kept."""
        await self.find_leftovers()
        found: list[SessionRecord] = []
        order = sa.tuple_(sessions.c.created_ms, sessions.c.id)
        query = sa.select(sessions.c.created_ms, sessions.c.id, sessions.c.record).order_by(*order).limit(PAGE)
        last: tuple[int, str] | None = None
        while True:
            async with self._database.read() as connection:
                page = query if last is None else query.where(order > sa.tuple_(*map(sa.literal, last)))
                rows = (await connection.execute(page)).all()
            found.extend(record for _, name, raw in rows if (record := readable(name, raw)) is not None)
            if len(rows) < PAGE:
                return found
            last = (rows[-1][0], rows[-1][1])

    async def write_all(self, connection: AsyncConnection, records: Sequence[SessionRecord]) -> None:
        """Write ``records`` inside the caller's transaction."""
        for begin in range(0, len(records), BATCH):
            batch = records[begin : begin + BATCH]
            await upsert(connection, sessions, [row_of(record) for record in batch], key="id")

    async def delete(self, session: str) -> None:
        """Delete a session with all its rows in one transaction. May raise StoreUnavailable."""
        async with self._turn:
            self._used.add(session)
            self._dirty.pop(session, None)
            self._changes = [change for change in self._changes if change.session != session]
            self._untrimmed.pop(session, None)
            try:
                async with self._database.write() as connection:
                    if self.fence is not None and session not in await self.fence(connection, [session]):
                        raise RunsElsewhere(session)
                    await connection.execute(sa.delete(transitions).where(transitions.c.session == session))
                    await connection.execute(sa.delete(sessions).where(sessions.c.id == session))
                    for sink in self.delete_sinks:
                        await sink(connection, session)
            except STORE_ERRORS as error:
                self._fail(error)
            else:
                self.drop(session)  # marked while it was deleted
                self._succeed()

    async def transitions(self, session: str) -> list[Transition]:
        """The kept transitions, newest first; without the latest while the store refuses writes."""
        if self._failing is None:
            with contextlib.suppress(StoreUnavailable):
                await self.flush()
        own = sa.select(transitions).where(transitions.c.session == session)
        query = own.order_by(transitions.c.seq.desc()).limit(self._kept)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [Transition(**_typed(row)) for row in rows]


def _typed(row: sa.RowMapping) -> dict[str, Any]:
    states = {name: State(row[name]) for name in ("from_state", "to_state")}
    return {name: value for name, value in row.items() if name != "seq"} | states | {"actor": Actor(row["actor"])}

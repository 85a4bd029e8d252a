"""The session store: who waits shares a transaction, returns once it is committed, and loses nothing by a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.domain.states import Actor, State
from bot_service.store.database import open_database
from bot_service.store.sessions import BATCH, PAGE, RecordOf, SessionStore, StoreUnavailable
from shared.clock import SystemClock
from tests.support.template import store_url


def session(number: int, *, created_ms: int = 1) -> SessionRecord:
    return SessionRecord(id=f"s{number:05d}", owner="main", name="one", created_ms=created_ms)


def change(record: SessionRecord) -> Transition:
    return Transition(
        session=record.id, at_ms=1, from_state=State.STOPPED, to_state=State.STARTING, reason="user_start",
        detail=None, actor=Actor.NONE,
    )  # fmt: skip


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[SessionStore, list[int]]]:
    """The store, and how many changes each of its transactions held."""
    database = await open_database(store_url(folder))
    store = SessionStore(database, SystemClock())
    written: list[int] = []

    async def sink(_connection: AsyncConnection, changes: list[Transition], stored: RecordOf) -> None:
        assert all(stored(each.session) is not None for each in changes)
        written.append(len(changes))

    store.transition_sinks.append(sink)
    try:
        yield store, written
    finally:
        await database.close()


async def test_those_who_wait_together_share_transactions_and_all_is_committed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, written):

        async def create(number: int) -> None:
            record = session(number)
            store.mark(record, change(record))
            await store.flush()
            assert len(await store.transitions(record.id)) == 1

        await asyncio.gather(*(create(number) for number in range(3 * BATCH)))
        assert sum(written) == 3 * BATCH
        assert len(written) < BATCH
        assert len(await store.load()) == 3 * BATCH


async def test_transitions_are_never_behind_what_was_marked(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        store.mark(session(1), change(session(1)))
        assert len(await store.transitions("s00001")) == 1


async def test_a_waiter_that_goes_away_takes_nothing_of_others_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        store.mark(session(1), change(session(1)))
        impatient = asyncio.create_task(store.flush())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        store.mark(session(2), change(session(2)))
        patient = asyncio.create_task(store.flush())
        impatient.cancel()
        await patient
        assert [record.id for record in await store.load()] == ["s00001", "s00002"]


async def test_what_a_failing_store_did_not_take_is_written_later_but_for_what_was_dropped(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        broken = True

        async def full(_connection: AsyncConnection, _changes: list[Transition], _stored: RecordOf) -> None:
            if broken:
                raise OperationalError("INSERT", {}, OSError("disk full"))

        store.transition_sinks.append(full)
        for number in (1, 2):
            store.mark(session(number), change(session(number)))
        with pytest.raises(StoreUnavailable):
            await store.flush()
        assert store.failing is not None
        assert await store.load() == []
        broken = False
        store.drop("s00002")
        await store.flush()
        assert store.failing is None
        assert [record.id for record in await store.load()] == ["s00001"]


async def test_a_failing_store_is_failing_until_a_write_has_ended_well(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        tried, again, let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def locked(_connection: AsyncConnection, _changes: list[Transition], _stored: RecordOf) -> None:
            if not tried.is_set():
                tried.set()
                raise OperationalError("INSERT", {}, OSError("database is locked"))
            again.set()
            await let_go.wait()

        store.transition_sinks.append(locked)
        store.mark(session(1), change(session(1)))
        with pytest.raises(StoreUnavailable):
            await store.flush()
        writing = asyncio.create_task(store.flush())
        await again.wait()
        assert store.failing is not None, "a try that is under way proves nothing yet"
        let_go.set()
        await writing
        assert store.failing is None


async def test_sessions_are_read_in_pages_oldest_first_and_a_strange_row_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        count = 2 * PAGE + 1
        made = [session(number, created_ms=count - number // 3) for number in range(count)]
        for record in made:
            store.mark(record)
        await store.flush()
        async with store._database.write() as connection:
            await connection.execute(sa.text("UPDATE sessions SET record = 'x' WHERE id = 's00000'"))
        wanted = sorted(made[1:], key=lambda record: (record.created_ms, record.id))
        assert [msgspec.structs.asdict(each) for each in await store.load()] == [
            msgspec.structs.asdict(each) for each in wanted
        ]

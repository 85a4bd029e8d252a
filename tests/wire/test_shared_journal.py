"""The journal in PostgreSQL with the real engine: a worker that dies between any two steps of a message loses nothing."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import asyncpg
import pytest

from tests.fake_whatsapp.remote import Remote
from tests.support import postgresql
from tests.support.waiting import eventually
from tests.wire.device_store import Replica, Store
from tests.wire.test_device_store import ANN, BOT, Start, all_readable, own_server, start, store, talk_to_ann

__all__ = ["own_server", "start", "store"]

pytestmark = [pytest.mark.wire, *postgresql.needed()]

HOLD = 77
# Where a statement of the worker waits until the test lets it go on.
STEPS = {
    "mark": "AFTER UPDATE ON veilleur_devices FOR EACH ROW WHEN (NEW.begun_id IS DISTINCT FROM OLD.begun_id)",
    "ratchet": "BEFORE INSERT OR UPDATE ON whatsmeow_sessions FOR EACH ROW",
    "row": "BEFORE INSERT ON journal_rows FOR EACH ROW",
}
HELD = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"


def hold_at(store: Store, step: str) -> None:
    store.sql(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock_shared({HOLD}); RETURN NEW; END $$;"
        f" CREATE TRIGGER hold {STEPS[step]} EXECUTE FUNCTION hold()"
    )


async def killed_at(worker: Replica, server: Remote, store: Store, step: str, *, finishes: bool) -> str:
    """Kill the worker while it is at ``step`` of a message, whose statement ``finishes`` all the same. Returns its id."""
    hold_at(store, step)
    connection = await asyncpg.connect(store.server.url(store.name))
    try:
        await connection.execute(f"SELECT pg_advisory_lock({HOLD})")
        message = await server("send", sender=ANN, chat=BOT, body="held")
        await eventually(lambda: store.sql(HELD) == "1", what="a statement that waits")
        await worker.end(signal.SIGKILL)
        if not finishes:
            store.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
            )
        await connection.execute(f"SELECT pg_advisory_unlock({HOLD})")
        await eventually(lambda: store.sql(HELD) == "0", what="the end of the statement")
    finally:
        await connection.close()
    store.sql("DROP FUNCTION hold CASCADE")
    return str(message)


@pytest.mark.long
@pytest.mark.parametrize("finishes", [False, True], ids=["undone", "finished"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_message_is_there_once_wherever_the_worker_dies(
    start: Start, server: Remote, store: Store, step: str, finishes: bool
) -> None:
    first = await start("first")
    jid = await first.pair("s", BOT)
    await server("send", sender=ANN, chat=BOT, body="hello")
    await first.message(text="hello")
    await talk_to_ann(first, server, "before")
    message = await killed_at(first, server, store, step, finishes=finishes)
    journaled = [each.id for each in first.messages()].count(message)
    assert journaled == int(step == "row" and finishes)

    second = await start("second")
    store.bury("first")
    await second.begin("s", jid)
    await second.heard("s", "connected")
    await second.message(text="held")
    await talk_to_ann(second, server, "after")

    async def nothing_owed() -> bool:
        return not (await server("stats"))["owed"]

    await eventually(nothing_owed, what="the receipt of every message")
    texts = [each.text for each in second.messages()]
    assert texts == ["hello", "re before", "held", "re after"]
    assert "message_lost" not in second.kinds("s")
    await all_readable(server)


async def test_what_a_worker_that_stood_still_received_is_no_row(start: Start, server: Remote, store: Store) -> None:
    """It waits in the middle of a message while another replica starts the session."""
    old = await start("old")
    jid = await old.pair("s", BOT)
    await server("send", sender=ANN, chat=BOT, body="hello")
    await old.message(text="hello")
    hold_at(store, "ratchet")
    connection = await asyncpg.connect(store.server.url(store.name))
    try:
        await connection.execute(f"SELECT pg_advisory_lock({HOLD})")
        await server("send", sender=ANN, chat=BOT, body="held")
        await eventually(lambda: store.sql(HELD) == "1", what="a statement that waits")
        assert old.process is not None
        old.process.send_signal(signal.SIGSTOP)
        await connection.execute(f"SELECT pg_advisory_unlock({HOLD})")
        store.sql("DROP FUNCTION hold CASCADE")
        new = await start("new")
        store.bury("old")
        await new.begin("s", jid)
        await new.heard("s", "connected")
        await new.message(text="held")
        old.process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(30):
            assert await old.process.wait() == 75
    finally:
        await connection.close()
    await talk_to_ann(new, server, "after")
    assert [each.text for each in new.messages()] == ["hello", "held", "re after"]
    assert "replaced" not in new.kinds("s")
    assert list(Path(old.data_dir, "journal").glob("*")) == [] or not any(
        path.stat().st_size for path in Path(old.data_dir, "journal").iterdir()
    )

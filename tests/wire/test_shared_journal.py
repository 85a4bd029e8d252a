"""Journal and sent ids in PostgreSQL, with the real engine: whatever step a worker dies at, no message is lost or sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from bot_service.domain.message import OutgoingMessage
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
SENT_STEP = "BEFORE INSERT ON sent_messages FOR EACH ROW"
ONCE = OutgoingMessage(id="m1", to=ANN, type="text", text="once")
LAST = OutgoingMessage(id="m2", to=ANN, type="text", text="last")
HELD = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"


def hold_at(store: Store, where: str) -> None:
    store.sql(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock_shared({HOLD}); RETURN NEW; END $$;"
        f" CREATE TRIGGER hold {where} EXECUTE FUNCTION hold()"
    )


async def killed_at(
    worker: Replica, store: Store, where: str, begin: Callable[[], Awaitable[object]], *, finishes: bool
) -> object:
    """Kill the worker while it is at a step of what ``begin`` begins; the statement of that step ``finishes`` all the same."""
    hold_at(store, where)
    connection = await asyncpg.connect(store.server.url(store.name))
    try:
        await connection.execute(f"SELECT pg_advisory_lock({HOLD})")
        begun = await begin()
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
    return begun


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

    async def begin() -> object:
        return await server("send", sender=ANN, chat=BOT, body="held")

    message = str(await killed_at(first, store, STEPS[step], begin, finishes=finishes))
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
    hold_at(store, STEPS["ratchet"])
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
        # It ends where it writes or dials next, which it may not do when its connection was closed in order: in the service the
        # end of the lease ends it then. Whatever it does in this time, it must write nothing.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                assert await old.process.wait() == 75
        await old.end(signal.SIGKILL)
    finally:
        await connection.close()
    await talk_to_ann(new, server, "after")
    assert [each.text for each in new.messages()] == ["hello", "held", "re after"]
    assert "replaced" not in new.kinds("s")
    assert list(Path(old.data_dir, "journal").glob("*")) == [] or not any(
        path.stat().st_size for path in Path(old.data_dir, "journal").iterdir()
    )


async def elsewhere(start: Start, store: Store, jid: str) -> Replica:
    """The session runs on another replica, because the first one is gone."""
    second = await start("second")
    store.bury("first")
    await second.begin("s", jid)
    return second


@pytest.mark.long
@pytest.mark.parametrize("mark", ["before the kill", "in between", "after the start"])
async def test_what_a_lost_replica_sent_is_not_sent_again(
    start: Start, server: Remote, store: Store, mark: str
) -> None:
    first = await start("first")
    jid = await first.pair("s", BOT)
    await server("quiet", number=ANN, sends_receipts=mark == "before the kill")
    await server("faults", lost_acks=[BOT])
    sending = asyncio.create_task(first.send("s", ONCE))
    got = await server.message_to(ANN, text="once")
    if mark == "before the kill":
        await first.heard("s", "receipt")
    await first.end(signal.SIGKILL)
    await asyncio.gather(sending, return_exceptions=True)
    await server("faults", lost_acks=[])
    if mark == "in between":
        await server("mark", number=ANN, chat=ANN, author=BOT, id=got["id"], kind="")
    second = await elsewhere(start, store, jid)
    again = asyncio.create_task(second.send("s", ONCE))
    if mark == "after the start":
        await second.heard("s", "offline_sync_completed")
        await server("mark", number=ANN, chat=ANN, author=BOT, id=got["id"], kind="")
    sent = await again
    assert (sent.id, sent.at_ms > 0) == ("m1", True)
    await second.send("s", LAST)
    await server.message_to(ANN, text="last")
    assert [entry["text"] for entry in await server("inbox", number=ANN)] == ["once", "last"]
    # Later receipts find the message that the other replica sent.
    await server("mark", number=ANN, chat=ANN, author=BOT, id=got["id"], kind="read")
    await eventually(
        lambda: any(each.type == "read" and each.message_ids == ["m1"] for each in second.receipts()),
        what="the receipt of a message of the lost replica",
    )
    assert list(second.data_dir.rglob("*.sent")) == []


@pytest.mark.long
@pytest.mark.parametrize("finishes", [False, True], ids=["undone", "finished"])
async def test_no_frame_leaves_before_its_id_is_kept(
    start: Start, server: Remote, store: Store, finishes: bool
) -> None:
    first = await start("first")
    jid = await first.pair("s", BOT)
    await server("account", number=ANN)
    await talk_to_ann(first, server, "before")
    sends: list[asyncio.Task[object]] = []

    async def begin() -> None:
        sends.append(asyncio.create_task(first.send("s", ONCE)))

    await killed_at(first, store, SENT_STEP, begin, finishes=finishes)
    await asyncio.gather(*sends, return_exceptions=True)
    assert store.sql("SELECT count(*) FROM sent_messages WHERE message_id = 'm1'") == str(int(finishes))
    assert [entry["text"] for entry in await server("inbox", number=ANN)] == ["hello before"]
    second = await elsewhere(start, store, jid)
    assert (await second.send("s", ONCE)).id == "m1"
    await talk_to_ann(second, server, "after")
    texts = [entry["text"] for entry in await server("inbox", number=ANN)]
    assert texts == ["hello before", "once", "hello after"]
    await all_readable(server)

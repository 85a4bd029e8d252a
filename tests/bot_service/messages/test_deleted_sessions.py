"""What a deleted session leaves belongs to no one, and what came for an earlier owner is not the next one's."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from aiohttp import FormData

from bot_service import keys
from bot_service.domain.message import InboundMessage, JournalRecord, Receipt
from bot_service.domain.session_record import OWNERS_KEPT, SessionRecord
from bot_service.domain.states import State
from bot_service.engines.wire.journal_file import JournalWriter
from bot_service.messages.inbound import ReplyTo
from bot_service.store.metadata import metadata
from shared.clock import SystemClock, to_ms
from tests.bot_service.engines.conftest import Bench
from tests.bot_service.engines.conftest import bench as bench
from tests.support.bot_app import Bot, is_in, paired, running
from tests.support.processes import API_KEY, Client
from tests.support.processes import bot as program_of
from tests.support.sessions import scanned
from tests.support.waiting import eventually

CHAT = "33612345678@s.whatsapp.net"


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path / "data") as started:
        yield started


async def key_of(bot: Bot, owner: str) -> str:
    wanted = {"name": owner, "owner": owner, "scopes": ["read", "send", "session"]}
    return str((await bot.call("POST", "/api/keys", wanted))[1]["key"])


def creation_of(bot: Bot, session: str) -> str:
    record = bot.app[keys.SESSIONS].registry.get(session)
    assert record is not None
    return record.creation


def message(number: int, session: str = "shop") -> InboundMessage:
    return InboundMessage(session, CHAT, f"M{number}", CHAT, 1_700_000_000_000, "text", f"secret {number}")


def write(bot: Bot, *records: JournalRecord) -> None:
    """A journal of a worker that is not known: its records are a backlog."""
    folder = bot.app[keys.SETTINGS].data_dir / "journal"
    writer = JournalWriter(folder, f"w{len(list(folder.glob('*')))}", SystemClock(), grew=lambda *_: None)
    writer.open()
    for record in records:
        writer.append(record)
    name, end = writer.position
    writer.close()
    bot.app[keys.MESSAGES].journal.notice(name, end)


async def read_all(bot: Bot) -> None:
    journal = bot.app[keys.MESSAGES].journal
    await eventually(lambda: journal.behind_bytes() == 0, what="the journals being read")


async def messages_of(bot: Bot, key: str = API_KEY, session: str = "shop") -> list[str]:
    _, listed = await bot.call("GET", f"/api/sessions/{session}/messages", key=key)
    return [each["id"] for each in listed["messages"]]


async def events_of(bot: Bot, key: str, until: str) -> list[dict[str, Any]]:
    """All stored events that a key sees, up to the deletion of the session ``until``."""
    await bot.call("POST", "/api/sessions", {"id": until, "start": False}, key=key)
    await bot.call("DELETE", f"/api/sessions/{until}", key=key)
    found = []
    headers = {"Authorization": f"Bearer {key}", "Last-Event-ID": "0"}
    async with bot.client.get("/api/events", headers=headers) as stream:
        async for line in stream.content:
            if line.startswith(b"data: "):
                event = msgspec.json.decode(line[6:])
                found.append(event)
                if event["type"] == "session.deleted" and event["session"] == until:
                    break
    return found


@pytest.mark.parametrize("backlog", ["message", "receipt", "without a creation"])
async def test_a_backlog_of_a_deleted_session_is_nobodys_when_its_id_is_used_again(bot: Bot, backlog: str) -> None:
    ann, bob = await key_of(bot, "ann"), await key_of(bot, "bob")
    await bot.call("POST", "/api/sessions", {"id": "shop"}, key=ann)
    creation = "" if backlog == "without a creation" else creation_of(bot, "shop")
    assert (await bot.call("DELETE", "/api/sessions/shop", key=ann))[0] == 204
    await bot.call("POST", "/api/sessions", {"id": "shop"}, key=bob)
    records = [JournalRecord(message=message(number), creation=creation) for number in range(120)]
    if backlog == "receipt":
        records = [JournalRecord(receipt=Receipt("shop", CHAT, ["X"], "read", 1), creation=creation)] * 120
    own = JournalRecord(message=message(1000), creation=creation_of(bot, "shop"))
    write(bot, *records, own)
    await read_all(bot)
    assert await messages_of(bot, bob) == ["M1000"]
    about_messages = [event for event in await events_of(bot, bob, "end") if event["type"].startswith("message")]
    assert [event["data"]["id"] for event in about_messages] == ["M1000"]
    metrics = (await bot.call("GET", "/metrics"))[1]
    assert "veilleur_bot_messages_of_deleted_sessions_total 120.0" in metrics


async def test_a_backlog_of_a_session_that_does_not_exist_any_more_is_dropped(bot: Bot) -> None:
    await bot.call("POST", "/api/sessions", {"id": "shop"})
    creation = creation_of(bot, "shop")
    await bot.call("DELETE", "/api/sessions/shop")
    write(bot, JournalRecord(message=message(1), creation=creation), JournalRecord(message=message(2)))
    await read_all(bot)
    async with bot.app[keys.DATABASE].read() as connection:
        rows = (await connection.exec_driver_sql("SELECT count(*) FROM messages")).scalar_one()
    assert rows == 0


@pytest.mark.sqlite
async def test_rows_that_lie_under_the_id_of_a_new_session_are_deleted(tmp_path: Path) -> None:
    now_ms = to_ms(SystemClock().now())
    async with running(tmp_path / "data") as bot:
        await bot.call("POST", "/api/sessions", {"id": "other"})
    with sqlite3.connect(tmp_path / "data" / "bot.db") as database:
        for session in ("shop", "other", "third"):
            database.execute(
                "INSERT INTO messages (session, chat, message_id, direction, type, at_ms, stored_ms, state, state_ms,"
                " duplicates, body) VALUES (?, 'c', 'OLD', 'in', 'text', ?, ?, 'received', 1, 0, ?)",
                (session, now_ms, now_ms, msgspec.json.encode(message(1, session))),
            )
        database.execute(
            "INSERT INTO transitions (session, at_ms, from_state, to_state, reason, actor)"
            " VALUES ('shop', 1, 'STOPPED', 'STARTING', 'user_start', 'nobody')"
        )
        database.execute("INSERT INTO patterns VALUES ('shop', 1, 1, zeroblob(96))")
    database.close()
    async with running(tmp_path / "data") as bot:
        await bot.call("POST", "/api/sessions", {"id": "shop", "start": False})
        await bot.call("POST", "/api/sessions", {"id": "fresh", "start": False})
        assert await messages_of(bot) == []
        assert await messages_of(bot, session="other") == ["OLD"], "of a session that is there"
    with sqlite3.connect(tmp_path / "data" / "bot.db") as database:
        assert database.execute("SELECT count(*) FROM transitions WHERE session = 'shop'").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM patterns").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM messages WHERE session = 'third'").fetchone() == (1,)
    database.close()


FILLED: dict[type, Any] = {
    sa.Integer: 1,
    sa.BigInteger: 1,
    sa.Boolean: False,
    sa.LargeBinary: bytes(96),
    sa.String: "1",
}


def row_of(table: sa.Table, session: str) -> dict[str, Any]:
    """Some row of any table."""
    found = {column.name: FILLED[type(column.type)] for column in table.c if column.autoincrement is not True}
    return found | {name: session for name in ("session", "lane") if name in table.c}


async def tables_with(bot: Bot, session: str) -> dict[str, list[Any]]:
    """The rows under the id ``session``, by table."""
    found = {}
    async with bot.app[keys.DATABASE].read() as connection:
        for table in metadata.tables.values():
            column = table.c.get("session", table.c.get("lane"))
            if column is not None:
                found[table.name] = list(await connection.execute(sa.select(table).where(column == session)))
    return found


async def fill(bot: Bot, session: str) -> None:
    async with bot.app[keys.DATABASE].write() as connection:
        for table in metadata.tables.values():
            if "session" in table.c or "lane" in table.c:
                await connection.execute(table.insert().values(row_of(table, session)))


async def test_a_deletion_leaves_no_row_in_any_table_but_its_own_announcement(bot: Bot) -> None:
    await paired(bot, "shop", "other")
    await fill(bot, "shop")
    before = await tables_with(bot, "shop")
    assert len(before) >= 9
    assert all(before.values()), "every table has a row to delete"
    kept = await tables_with(bot, "other")
    assert (await bot.call("DELETE", "/api/sessions/shop"))[0] == 204
    left = await tables_with(bot, "shop")
    assert [row.type for row in left.pop("events")] == ["session.deleted"]
    assert {name: rows for name, rows in left.items() if rows} == {}
    assert await tables_with(bot, "other") == kept


async def test_no_row_of_any_table_under_the_id_of_a_new_session_is_its_own(tmp_path: Path) -> None:
    of_an_owner = {"events", "webhooks", "webhook_outbox"}
    async with running(tmp_path / "data") as bot:
        await fill(bot, "shop")
        async with bot.app[keys.DATABASE].write() as connection:
            await connection.execute(metadata.tables["webhooks"].delete())
    async with running(tmp_path / "data") as bot:
        assert (await bot.call("POST", "/api/sessions", {"id": "shop", "start": False}))[0] == 201
        left = {name for name, rows in (await tables_with(bot, "shop")).items() if rows}
        assert left <= {*of_an_owner, "transitions"}, left
        assert len((await tables_with(bot, "shop"))["transitions"]) <= 1, "that of the creation"


async def test_a_late_answer_of_a_webhook_does_not_leave_by_a_session_of_the_same_id(bot: Bot) -> None:
    await paired(bot, "shop")
    outbox, database = bot.app[keys.MESSAGES].outbox, bot.app[keys.DATABASE]
    earlier = creation_of(bot, "shop")
    await bot.call("DELETE", "/api/sessions/shop")
    await paired(bot, "shop")

    async def answer(number: int, creation: str) -> None:
        to = ReplyTo("shop", CHAT, f"M{number}", CHAT, "main", creation)
        async with database.write() as connection:
            await outbox.reply(connection, msgspec.json.encode(to), "late")

    await answer(1, earlier)
    assert await messages_of(bot) == []
    await answer(2, creation_of(bot, "shop"))
    assert len(await messages_of(bot)) == 1


async def test_a_code_of_a_deleted_session_is_shown_on_no_page_of_another_one(bot: Bot) -> None:
    from bot_service.dashboard.context import DASHBOARD
    from bot_service.sessions.pairing_codes import PairingCode

    await bot.call("POST", "/api/sessions", {"id": "shop"})
    codes = bot.app[DASHBOARD].pairing_codes
    codes["shop"] = PairingCode("pairing_code", "ABCD-EFGH", to_ms(SystemClock().now()) + 160_000)
    await bot.call("DELETE", "/api/sessions/shop")
    assert codes == {}


async def test_an_id_is_not_free_before_its_session_is_gone_completely(bot: Bot) -> None:
    await bot.call("POST", "/api/sessions", {"id": "shop"})
    going = asyncio.Event()
    gone = asyncio.Event()

    async def forget(_session: str) -> None:
        going.set()
        await gone.wait()

    bot.pool.forget_session = forget  # type: ignore[assignment,method-assign]
    deleting = asyncio.create_task(bot.call("DELETE", "/api/sessions/shop"))
    await going.wait()
    assert (await bot.call("POST", "/api/sessions", {"id": "shop"}))[0] == 409
    gone.set()
    assert (await deleting)[0] == 204
    assert (await bot.call("POST", "/api/sessions", {"id": "shop"}))[0] == 201


async def test_what_arrived_for_an_earlier_owner_is_not_given_to_the_next_one(bot: Bot) -> None:
    ann, bob = await key_of(bot, "ann"), await key_of(bot, "bob")
    await bot.call("POST", "/api/sessions", {"id": "shop"}, key=ann)
    creation, now_ms = creation_of(bot, "shop"), to_ms(SystemClock().now())
    write(bot, JournalRecord(message=message(1), meta={"atMs": now_ms}, creation=creation))
    await read_all(bot)
    await asyncio.sleep(0.01)
    assert (await bot.call("PATCH", "/api/sessions/shop", {"owner": "bob"}))[0] == 200
    later_ms = to_ms(SystemClock().now()) + 1000
    write(
        bot,
        JournalRecord(message=message(2), meta={"atMs": now_ms + 1}, creation=creation),
        JournalRecord(message=message(3), meta={"atMs": later_ms}, creation=creation),
    )
    await read_all(bot)
    assert await messages_of(bot, bob) == ["M3"]
    assert (await bot.call("GET", "/api/sessions/shop/messages/M1", key=bob))[0] == 404
    assert (await bot.call("GET", "/api/sessions/shop/messages/M2", key=bob))[0] == 404
    assert (await bot.call("GET", "/api/sessions/shop/messages/M3", key=bob))[0] == 200
    assert sorted(await messages_of(bot)) == ["M1", "M2", "M3"], "an administrator sees the whole session"

    def texts(events: list[dict[str, Any]]) -> list[str]:
        return [event["data"]["id"] for event in events if event["type"] == "message"]

    assert texts(await events_of(bot, ann, "end-1")) == ["M1", "M2"]
    assert texts(await events_of(bot, bob, "end-2")) == ["M3"]


async def test_an_idempotency_key_of_an_earlier_owner_gives_its_message_to_nobody(bot: Bot) -> None:
    ann, bob = await key_of(bot, "ann"), await key_of(bot, "bob")
    await bot.call("POST", "/api/sessions", {"id": "shop"}, key=ann)
    await is_in(bot, "shop", State.PAIRING)
    bot.pool.pair("shop")
    await is_in(bot, "shop", State.READY)
    body, headers = {"to": "33612345678", "text": "of ann"}, {"Idempotency-Key": "one"}
    first = await bot.call("POST", "/api/sessions/shop/messages", body, key=ann, headers=headers)
    assert first[0] == 202
    await asyncio.sleep(0.01)
    await bot.call("PATCH", "/api/sessions/shop", {"owner": "bob"})
    await asyncio.sleep(0.01)
    for text in ("of ann", "of bob"):
        status, again = await bot.call(
            "POST", "/api/sessions/shop/messages", body | {"text": text}, key=bob, headers=headers
        )
        if text == "of ann":
            assert (status, again["id"] != first[1]["id"]) == (202, True)
        else:
            assert status == 409, "bob's own key, for another message"


async def test_a_file_of_an_earlier_owner_is_not_given_to_the_next_one(bot: Bot) -> None:
    ann, bob = await key_of(bot, "ann"), await key_of(bot, "bob")
    await bot.call("POST", "/api/sessions", {"id": "shop"}, key=ann)
    await is_in(bot, "shop", State.PAIRING)
    bot.pool.pair("shop")
    await is_in(bot, "shop", State.READY)
    form = FormData({"to": "33612345678", "type": "document"})
    form.add_field("file", b"secret", filename="a.txt", content_type="text/plain")
    headers = {"Authorization": f"Bearer {ann}"}
    async with bot.client.post("/api/sessions/shop/messages", data=form, headers=headers) as sent:
        path = f"/api/sessions/shop/messages/{(await sent.json())['id']}/media"
    assert (await bot.call("GET", path, key=ann))[0] == 200
    await asyncio.sleep(0.01)
    await bot.call("PATCH", "/api/sessions/shop", {"owner": "bob"})
    assert (await bot.call("GET", path, key=bob))[0] == 404
    assert (await bot.call("GET", path, key=ann))[0] == 404


def test_owners_are_remembered_and_the_oldest_ones_become_nobody() -> None:
    record = SessionRecord(id="s", owner="o0", name="s", created_ms=0)
    for number in range(1, OWNERS_KEPT + 5):
        record = record.handed_over(f"o{number}", number * 100)
    assert len(record.earlier_owners) == OWNERS_KEPT
    assert record.owner_at(50) is None
    assert record.owner_at(OWNERS_KEPT * 100) == f"o{OWNERS_KEPT - 1}"
    assert record.owner_at(10**6) == record.owner == f"o{OWNERS_KEPT + 4}"


async def test_a_client_of_a_deleted_session_is_not_taken_over_by_one_of_the_same_id(bench: Bench) -> None:
    await bench.open()
    await bench.pool.start_session("shop", jid=None, proxy=None, creation="first")
    await bench.until_reported("shop", "qr")
    await bench.pool.simulate("shop", "scan", {})
    await bench.until_reported("shop", "offline_sync_completed")
    pool = await bench.reopen()
    await pool.start_session("shop", jid=None, proxy=None, creation="second")
    await bench.until_reported("shop", "started")
    worker = next(iter(pool.fleet.workers.values()))
    snapshot = await worker.command("snapshot")
    assert [each["creation"] for each in snapshot["sessions"]] == ["second"]


async def test_a_new_session_finds_no_pairing_of_a_deleted_one(bench: Bench) -> None:
    pool = await bench.open()
    await bench.pair("shop")
    await pool.stop_session("shop")
    folder = bench.policy.data_dir / "simulator"
    assert list(folder.glob("shop*"))
    await pool.forget_left_files("other")
    assert list(folder.glob("shop*"))
    pool = await bench.reopen()
    await pool.forget_left_files("shop")
    assert not list(folder.glob("shop*"))


@pytest.mark.sqlite
async def test_a_backlog_that_is_read_after_a_restart_stays_nobodys(tmp_path: Path) -> None:
    """Real programs: the journal of the first owner's session is read again from its start."""
    program = program_of(tmp_path)
    async with program.running(), Client(program.url) as admin:
        owners = {}
        for owner in ("ann", "bob"):
            wanted = {"name": owner, "owner": owner, "scopes": ["read", "session"]}
            owners[owner] = (await admin.post("/api/keys", wanted))["key"]
        await admin.post("/api/sessions", {"id": "shop", "owner": "ann"})
        await admin.post("/api/sessions", {"id": "other", "owner": "ann"})
        for session in ("shop", "other"):
            await scanned(admin, session)
            await admin.post(
                f"/api/sessions/{session}/simulate", {"action": "message", "count": 50, "rate": 500, "text": "secret"}
            )

        async def stored(session: str, count: int) -> bool:
            return len((await admin.get(f"/api/sessions/{session}/messages?limit=500"))["messages"]) == count

        await eventually(lambda: stored("shop", 50), what="ann's messages")
        await eventually(lambda: stored("other", 50), what="ann's messages")
        await admin.call("DELETE", "/api/sessions/shop")
        await admin.post("/api/sessions", {"id": "shop", "owner": "bob"})
        program.kill()
        with sqlite3.connect(Path(program.env["DATA_DIR"]) / "bot.db") as database:
            database.execute("DELETE FROM journal_positions")
            database.execute("DELETE FROM messages")
        database.close()
        program.start()
        await program.ready()
        await eventually(lambda: stored("other", 50), what="the backlog of the session that lives")
        async with Client(program.url, owners["bob"]) as bob:
            assert (await bob.get("/api/sessions/shop/messages"))["messages"] == []
        assert "journal.deleted_session" in program.output()

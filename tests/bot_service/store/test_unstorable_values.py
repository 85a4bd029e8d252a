"""Values that PostgreSQL refuses, in messages of strangers and in requests: they hold up nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql as of_sqlalchemy

from bot_service import keys
from bot_service.domain import session_ids
from bot_service.domain.message import InboundMessage, JournalRecord, Poll, Receipt
from bot_service.engines.wire.journal_file import JournalWriter
from bot_service.messages import storable
from bot_service.messages.journal_losses import JournalLoss
from bot_service.store import leases as leases  # registers its tables
from bot_service.store.metadata import metadata
from shared.clock import SystemClock
from tests.support import postgresql
from tests.support.bot_app import Bot, running
from tests.support.waiting import eventually

CHAT = "33612345678@s.whatsapp.net"
POSTGRESQL = of_sqlalchemy.dialect()  # type: ignore[no-untyped-call]
ONE = "/api/sessions/one"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def bot(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bot]:
    """With a session ``one``, on each store, whichever this run tests."""
    on_postgresql = request.param == "postgresql"
    url = postgresql.create("unstorable") if on_postgresql else f"sqlite:///{tmp_path / 'data' / 'own.db'}"
    async with running(tmp_path / "data", DATABASE_URL=url, POSTGRESQL_PREVIEW="true") as started:
        await started.call("POST", "/api/sessions", {"id": "one", "start": False})
        yield started
    if on_postgresql:
        postgresql.drop("unstorable")


def text(identity: str, **more: Any) -> InboundMessage:
    return InboundMessage("one", CHAT, identity, CHAT, 1_700_000_000_000, "text", **{"text": "hello", **more})


def arrive(bot: Bot, *records: JournalRecord) -> None:
    """As the journal of a worker."""
    record = bot.app[keys.SESSIONS].registry.get("one")
    assert record is not None
    writer = JournalWriter(
        bot.app[keys.SETTINGS].data_dir / "journal", "w1", SystemClock(), grew=bot.app[keys.MESSAGES].journal.notice
    )
    writer.open()
    for each in records:
        writer.append(JournalRecord(each.message, each.receipt, creation=record.creation))
    writer.close()


async def stored(bot: Bot) -> list[str]:
    return [each["id"] for each in (await bot.call("GET", f"{ONE}/messages?limit=100"))[1]["messages"]]


def losses_of(bot: Bot) -> list[JournalLoss]:
    found: list[JournalLoss] = []
    bot.app[keys.MESSAGES].journal.lost.subscribe(found.append)
    return found


HOSTILE = [
    JournalRecord(message=text("x" * 5000)),
    JournalRecord(message=text("a\x00b")),
    JournalRecord(message=text("A1", text="nul \x00 in it", push_name="\x00")),
    JournalRecord(message=text("A2", reply_to="a\x00b")),
    JournalRecord(message=text("A3", reaction_to="\x00" * 200)),
    JournalRecord(message=text("A4", edits="a\x00", revokes="\x00")),
    JournalRecord(message=text("A5", album_id="\x00", poll=Poll("\x00?", ("\x00", "b")))),
    JournalRecord(receipt=Receipt("one", CHAT, ["\x00", "x" * 5000], "read", 1)),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda record: str(record)[:70])
async def test_no_content_of_a_message_holds_up_others_and_it_is_stored_itself(
    bot: Bot, hostile: JournalRecord
) -> None:
    lost = losses_of(bot)
    plain = [JournalRecord(message=text(f"M{number}")) for number in range(10)]
    arrive(bot, *plain[:4], hostile, *plain[4:], hostile)
    expected = 10 + (hostile.message is not None)

    async def all_of_them() -> bool:
        return len(await stored(bot)) == expected

    await eventually(all_of_them, what="every message")
    assert set(await stored(bot)) >= {f"M{number}" for number in range(10)}
    assert all(len(each) <= storable.LONGEST_ID and "\x00" not in each for each in await stored(bot))
    assert lost == []
    assert bot.app[keys.DATABASE].failing is None


async def test_a_record_that_no_database_takes_is_lost_by_name_and_alone(bot: Bot) -> None:
    lost = losses_of(bot)
    records = [JournalRecord(message=text(f"M{number}")) for number in range(120)]
    beyond = InboundMessage("one", CHAT, "BEYOND", CHAT, 2**63, "text", "a time that no column holds")
    records[70] = JournalRecord(message=beyond)
    arrive(bot, *records)

    async def all_others() -> bool:
        journal = bot.app[keys.MESSAGES].journal
        return journal.behind_bytes() == 0 and len(await stored(bot)) == 100

    await eventually(all_others, what="the others")
    assert "M119" in await stored(bot)
    assert [(loss.records, loss.named) for loss in lost] == [(1, (("one", "BEYOND"),))]
    metrics = (await bot.call("GET", "/metrics"))[1]
    assert 'veilleur_bot_messages_lost_total{reason="journal"} 1.0' in metrics
    assert (await bot.call("GET", "/health", key=None))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/sessions/%00", None),
        ("GET", f"{ONE}/messages/%00", None),
        ("GET", f"{ONE}/messages?chat=%00", None),
        ("GET", f"{ONE}/messages?search=%00", None),
        ("GET", f"{ONE}/messages?state=%00", None),
        ("GET", "/api/sessions?q=%00", None),
        ("GET", "/api/webhooks/%00", None),
        ("GET", "/api/deliveries?webhook=%00", None),
        ("GET", "/api/deliveries/%00/%00", None),
        ("DELETE", "/api/keys/%00", None),
        ("POST", "/api/webhooks", {"url": "http://a.invalid/\x00"}),
        ("POST", "/api/sessions", {"id": "two", "start": False, "metadata": {"note": "\x00"}}),
        ("PUT", f"{ONE}/messages/%00", {"text": "x"}),
        ("GET", "/waha/api/one/chats/%00/messages", None),
        ("POST", "/evolution/chat/findMessages/one", {"where": {"key": {"id": "\x00"}}}),
    ],
)
async def test_a_value_of_a_request_is_no_failure_of_the_store(bot: Bot, method: str, path: str, body: Any) -> None:
    status, answer = await bot.call(method, path, body)
    assert status < 500, answer
    assert bot.app[keys.DATABASE].failing is None
    assert (await bot.call("GET", "/health", key=None))[0] == 200
    assert (await bot.call("POST", "/api/sessions", {"id": "next", "start": False}))[0] == 201


def longest_ids() -> dict[str, int]:
    """The longest id of a session that PostgreSQL takes, by column."""
    found = {}
    for table in metadata.tables.values():
        names = {"session", "lane"} | ({"id"} if table.name in ("sessions", "leases", "session_changes") else set())
        for name in names & set(table.c.keys()):
            length = getattr(table.c[name].type.dialect_impl(POSTGRESQL), "length", None)
            found[f"{table.name}.{name}"] = 10**6 if length is None else length
    return found


def test_every_column_for_the_id_of_a_session_holds_the_longest_one_with_its_mark() -> None:
    longest = len(session_ids.marked("a" * 64, "0" * 12))
    found = longest_ids()
    assert len(found) >= 12
    assert {name for name, length in found.items() if length < longest} == set()


@pytest.mark.postgresql
async def test_an_id_of_the_greatest_length_can_be_used_by_several_owners(bot: Bot) -> None:
    taken = "a" * 64
    for owner in ("ann", "bob", "carl"):
        wanted = {"name": owner, "owner": owner, "scopes": ["read", "send", "session"]}
        key = (await bot.call("POST", "/api/keys", wanted))[1]["key"]
        status, made = await bot.call("POST", "/api/sessions", {"id": taken, "start": False}, key=key)
        assert (status, made.get("id")) == (201, taken), made
        hook = {"url": "http://hook.invalid/x", "session": taken}
        assert (await bot.call("POST", "/api/webhooks", hook, key=key))[0] == 201
        for verb in ("start", "stop"):
            assert (await bot.call("POST", f"/api/sessions/{taken}/{verb}", key=key))[0] == 200
        assert (await bot.call("GET", f"/api/sessions/{taken}/transitions", key=key))[0] == 200
        _, listed = await bot.call("GET", "/api/sessions", key=key)
        assert [each["id"] for each in listed["sessions"]] == [taken]
    assert bot.app[keys.DATABASE].failing is None

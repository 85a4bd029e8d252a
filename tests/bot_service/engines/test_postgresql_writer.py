"""What a worker writes in PostgreSQL for its clients: a message with its mark or not at all, and nothing of a client that is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot_service.domain.message import InboundMessage, JournalRecord, Receipt
from bot_service.engines.neonize import postgresql_schema
from bot_service.engines.neonize.decrypt_marks import DecryptMark
from bot_service.engines.neonize.device_store import StoreFailed
from bot_service.engines.neonize.postgresql_link import PostgresqlLink
from bot_service.engines.neonize.postgresql_marks import PostgresqlMarks, PostgresqlSent
from bot_service.engines.neonize.postgresql_writer import Writer
from bot_service.engines.neonize.sent_messages import SentMessage, SentMessages
from bot_service.engines.wire.journal_file import JournalError
from bot_service.engines.wire.journal_format import MAX_RECORD_BYTES
from tests.support import postgresql
from tests.support.postgresql import PostgreSQL
from tests.wire.device_store import Store

pytestmark = postgresql.needed()


class World:
    """The database of a service with the tables of devices, without those of the library."""

    def __init__(self, store: Store) -> None:
        self.store = store
        for statement in postgresql_schema.TABLES:
            store.sql(statement)
        self.link = PostgresqlLink(store.server.url(store.name))
        self.told = threading.Event()
        self.writer = Writer(self.link, self.told.set)

    def open(self, session: str) -> PostgresqlMarks:
        """A start of a client by the present owner."""
        number, opening = self.store.sql(
            "INSERT INTO veilleur_devices AS d (session, epoch, opening)"
            f" SELECT id, epoch, 1 FROM leases WHERE id = '{session}'"
            " ON CONFLICT (session) DO UPDATE SET opening = d.opening + 1, epoch = excluded.epoch"
            " RETURNING number, opening"
        ).split("|")
        return PostgresqlMarks(self.writer, int(number), int(opening))

    def rows(self) -> list[str]:
        return [record.item.id for record in self.store.journaled() if isinstance(record.item, InboundMessage)]

    def all(self) -> int:
        return len(self.store.journaled())

    def unfinished(self, session: str) -> bool:
        return self.store.sql(
            "SELECT begun_id IS NOT NULL AND (done_id IS DISTINCT FROM begun_id OR done_ms < begun_ms)"
            f" FROM veilleur_devices WHERE session = '{session}'"
        ) == "t"  # fmt: skip

    def settled(self) -> None:
        self.writer.flush(5.0)


@pytest.fixture
def own_server() -> Iterator[PostgreSQL]:
    started = PostgreSQL()
    yield started
    started.close()


@pytest.fixture
async def world(own_server: PostgreSQL, tmp_path: Path) -> World:
    await postgresql.migrated(own_server, "rows")
    return World(Store(own_server, "rows", tmp_path))


@pytest.fixture(autouse=True)
def _closed(world: World) -> Iterator[None]:
    yield
    world.link.close()


def message(number: int, *, session: str = "s", text: str = "hello") -> JournalRecord:
    return JournalRecord(InboundMessage(session, "1@s.whatsapp.net", f"M{number}", "1@s.whatsapp.net", 0, "text", text))


def receipt() -> JournalRecord:
    return JournalRecord(receipt=Receipt("s", "1@s.whatsapp.net", ["M"], "read", 0))


def began(marks: PostgresqlMarks, number: int) -> None:
    marks.begin(DecryptMark(f"M{number}", 1000 + number))


def eventually(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 20.0
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_message_is_there_together_with_the_mark_that_it_is_done(world: World) -> None:
    world.store.give("s", "r1")
    marks = world.open("s")
    began(marks, 1)
    assert world.unfinished("s")
    marks.journal("M1").append(message(1))
    assert (world.rows(), world.unfinished("s"), world.told.is_set()) == (["M1"], False, True)
    marks.done(DecryptMark("M1", 2000))
    world.settled()
    assert not world.unfinished("s")
    # One of several parts: the message is not done yet.
    began(marks, 2)
    marks.journal(None).append(message(2))
    assert (world.rows(), world.unfinished("s")) == (["M1", "M2"], True)
    marks.done(DecryptMark("M2", 2001))
    world.settled()
    assert not world.unfinished("s")


def test_rows_of_a_session_keep_their_order(world: World) -> None:
    world.store.give("s", "r1")
    marks = world.open("s")
    for number in range(40):
        marks.journal(None).append(receipt())
        marks.journal(None).append(message(number))
    world.settled()
    kinds = [type(record.item).__name__ for record in world.store.journaled()]
    assert kinds == ["Receipt", "InboundMessage"] * 40
    assert world.rows() == [f"M{number}" for number in range(40)]


def test_sessions_share_statements(world: World) -> None:
    world.store.give("s", "r1")
    world.store.give("t", "r1")
    both = [world.open("s"), world.open("t")]

    def write(marks: PostgresqlMarks, session: str) -> None:
        for number in range(50):
            began(marks, number)
            marks.journal(f"M{number}").append(message(number, session=session))

    threads = [threading.Thread(target=write, args=each) for each in zip(both, "st", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert len(world.rows()) == 100
    assert not world.unfinished("s")
    assert not world.unfinished("t")


@pytest.mark.parametrize("how", ["opening", "owner", "free", "deleted"])
def test_a_client_that_is_over_writes_no_row(world: World, how: str) -> None:
    world.store.give("s", "r1")
    marks = world.open("s")
    began(marks, 1)
    if how == "opening":
        world.open("s")
    elif how == "owner":
        world.store.give("s", "r2")
    elif how == "free":
        world.store.bury("r1")
    else:
        world.store.sql("DELETE FROM veilleur_devices")
    marks.journal(None).append(receipt())
    with pytest.raises(JournalError, match="another client"):
        marks.journal("M1").append(message(1))
    with pytest.raises(StoreFailed, match="another client"):
        began(marks, 2)
    world.settled()
    assert world.all() == 0


def test_while_postgresql_is_away_a_message_is_refused_and_what_whatsapp_knows_is_kept(
    world: World, own_server: PostgreSQL
) -> None:
    world.store.give("s", "r1")
    marks = world.open("s")
    failed = threading.Event()
    marks.failed = lambda why: failed.set()
    began(marks, 1)
    own_server.stop()
    with pytest.raises(JournalError, match="PostgreSQL"):
        marks.journal("M1").append(message(1))
    marks.journal(None).append(receipt())
    assert failed.wait(10.0)
    own_server.start()
    eventually(lambda: world.all() == 1)
    assert world.rows() == []
    # The message was begun and is not done: its ratchet step is taken back before the next start.
    assert world.unfinished("s")
    marks.close()


def test_the_id_of_a_message_is_kept_before_its_frame_leaves_and_found_later(world: World) -> None:
    world.store.give("s", "r1")
    marks = world.open("s")
    sent = SentMessages(PostgresqlSent(marks, [], lambda: None))
    sent.note(SentMessage("m1", "W1", "c"))
    found = "SELECT message_id, whatsapp_id, chat, taken_ms FROM sent_messages ORDER BY seq"
    assert world.store.sql(found) == "m1|W1|c|"
    sent.taken("m1", 5000)
    sent.note(SentMessage("m2", "W2", "c"))
    world.settled()
    assert world.store.sql(found).splitlines() == ["m1|W1|c|5000", "m2|W2|c|"]
    # Twice in one statement, and again with another id on WhatsApp.
    sent.seen_taken("W2", 6000)
    sent.seen_taken("W2", 7000)
    sent.note(SentMessage("m1", "W3", "c"))
    world.settled()
    assert world.store.sql(found).splitlines() == ["m1|W1|c|5000", "m2|W2|c|6000", "m1|W3|c|"]
    world.open("s")
    with pytest.raises(StoreFailed, match="another client"):
        sent.note(SentMessage("m4", "W4", "c"))
    assert world.store.sql("SELECT count(*) FROM sent_messages") == "3"


def test_while_postgresql_is_away_no_id_is_kept_and_an_answer_is_written_later(
    world: World, own_server: PostgreSQL
) -> None:
    world.store.give("s", "r1")
    sent = SentMessages(PostgresqlSent(world.open("s"), [], lambda: None))
    sent.note(SentMessage("m1", "W1", "c"))
    own_server.stop()
    with pytest.raises(StoreFailed, match="PostgreSQL"):
        sent.note(SentMessage("m2", "W2", "c"))
    sent.taken("m1", 5000)
    own_server.start()
    eventually(lambda: world.store.sql("SELECT whatsapp_id, taken_ms FROM sent_messages") == "W1|5000")


def test_a_record_that_is_too_long_is_refused(world: World) -> None:
    world.store.give("s", "r1")
    marks = world.open("s")
    with pytest.raises(JournalError, match="longer than"):
        marks.journal(None).append(message(1, text="x" * MAX_RECORD_BYTES))
    assert world.all() == 0

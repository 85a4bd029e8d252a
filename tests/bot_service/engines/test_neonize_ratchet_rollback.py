"""After a kill the ratchet goes back by exactly the unfinished message, and never over something that was sent."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bot_service.engines.neonize import ratchet_rollback
from bot_service.engines.neonize.decrypt_marks import DecryptMark
from bot_service.engines.neonize.ratchet_record import only_received, sending_chain
from bot_service.engines.neonize.ratchet_rollback import RollbackResult

OWN, ANN, GROUP = "1555:1@s.whatsapp.net", "91556_1:0", "120@g.us"
TABLES = """
CREATE TABLE whatsmeow_device (jid TEXT PRIMARY KEY, lid TEXT);
CREATE TABLE whatsmeow_sessions (our_jid TEXT, their_id TEXT, session BLOB, PRIMARY KEY (our_jid, their_id));
CREATE TABLE whatsmeow_sender_keys
  (our_jid TEXT, chat_id TEXT, sender_id TEXT, sender_key BLOB, PRIMARY KEY (our_jid, chat_id, sender_id));
CREATE TABLE whatsmeow_pre_keys (jid TEXT, key_id INTEGER, key BLOB, uploaded BOOLEAN, PRIMARY KEY (jid, key_id));
INSERT INTO whatsmeow_device VALUES ('1555:1@s.whatsapp.net', '91555:1@lid');
INSERT INTO whatsmeow_pre_keys VALUES ('1555:1@s.whatsapp.net', 7, x'0102', 1);
"""
PUT = "INSERT INTO whatsmeow_sessions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET session=excluded.session"
PUT_KEY = (
    "INSERT INTO whatsmeow_sender_keys VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET sender_key=excluded.sender_key"
)


def record(ratchet: str, index: int, *, received: int = 0) -> bytes:
    chain = {"SenderRatchetKeyPublic": ratchet, "ChainKey": {"Key": "k", "Index": index}}
    return json.dumps({"SessionState": {"SenderChain": chain, "ReceiverChains": [received]}}).encode()


class Store:
    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(sqlite3.connect(path)) as db:
            db.executescript(TABLES)
        ratchet_rollback.prepare(path, None)

    def do(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(statement, values)

    def session(self) -> bytes | None:
        with closing(sqlite3.connect(self.path)) as db:
            row = db.execute("SELECT session FROM whatsmeow_sessions").fetchone()
            return row[0] if row else None

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(self.path)) as db:
            return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s.db")


def now() -> DecryptMark:
    time.sleep(0.003)
    return DecryptMark("A", int(time.time() * 1000))


def test_a_first_message_is_undone_with_its_prekey(store: Store) -> None:
    mark = now()
    store.do(PUT, OWN, ANN, record("r1", 0))
    store.do("DELETE FROM whatsmeow_pre_keys WHERE key_id=7")
    assert ratchet_rollback.prepare(store.path, mark) is RollbackResult.BACK
    assert store.session() is None
    assert store.count("whatsmeow_pre_keys") == 1
    assert store.count("veilleur_undo") == 0


def test_a_later_message_is_undone_and_the_one_before_it_stays(store: Store) -> None:
    store.do(PUT, OWN, ANN, record("r1", 0, received=1))
    mark = now()
    store.do(PUT, OWN, ANN, record("r2", 0, received=2))
    assert ratchet_rollback.prepare(store.path, mark) is RollbackResult.BACK
    assert store.session() == record("r1", 0, received=1)


@pytest.mark.parametrize("after", [record("r1", 4), record("r2", 1)])
def test_a_sending_chain_never_goes_back(store: Store, after: bytes) -> None:
    store.do(PUT, OWN, ANN, record("r1", 3))
    mark = now()
    store.do(PUT, OWN, ANN, after)
    assert ratchet_rollback.prepare(store.path, mark) is RollbackResult.SENT_BETWEEN
    assert store.session() == after


def test_two_changes_of_one_session_are_left_alone(store: Store) -> None:
    store.do(PUT, OWN, ANN, record("r1", 0))
    mark = now()
    store.do(PUT, OWN, ANN, record("r1", 1))
    store.do(PUT, OWN, ANN, record("r2", 0))
    assert ratchet_rollback.prepare(store.path, mark) is RollbackResult.SENT_BETWEEN
    assert store.session() == record("r2", 0)


def test_two_changes_without_a_send_between_them_go_back_together(store: Store) -> None:
    store.do(PUT, OWN, ANN, record("r1", 3))
    mark = now()
    store.do(PUT, OWN, ANN, record("r1", 3, received=1))
    store.do(PUT, OWN, ANN, record("r2", 0, received=2))
    assert ratchet_rollback.prepare(store.path, mark) is RollbackResult.BACK
    assert store.session() == record("r1", 3)


def test_a_group_message_is_undone_but_the_own_sender_key_is_not(store: Store) -> None:
    store.do(PUT_KEY, OWN, GROUP, ANN, b"old")
    store.do(PUT_KEY, OWN, GROUP, "91555_1:1", b"own old")
    mark = now()
    store.do(PUT_KEY, OWN, GROUP, ANN, b"new")
    store.do(PUT_KEY, OWN, GROUP, "91555_1:1", b"own new")
    assert ratchet_rollback.prepare(store.path, mark) is RollbackResult.BACK
    with closing(sqlite3.connect(store.path)) as db:
        keys = dict(db.execute("SELECT sender_id, sender_key FROM whatsmeow_sender_keys").fetchall())
    assert keys == {ANN: b"old", "91555_1:1": b"own new"}


def test_a_message_that_never_moved_the_ratchet_needs_nothing(store: Store) -> None:
    store.do(PUT, OWN, ANN, record("r1", 0))
    assert ratchet_rollback.prepare(store.path, now()) is RollbackResult.NOTHING
    assert store.session() == record("r1", 0)


def test_more_changes_than_are_kept_are_left_alone(store: Store) -> None:
    mark = now()
    for number in range(ratchet_rollback.KEPT_ROWS + 5):
        store.do(PUT, OWN, f"{number}:0", record("r1", 0))
    assert store.count("veilleur_undo") == ratchet_rollback.KEPT_ROWS
    assert ratchet_rollback.prepare(store.path, mark) is RollbackResult.TOO_MUCH


def test_an_empty_file_and_a_strange_one_are_left_alone(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    assert ratchet_rollback.prepare(empty, None) is RollbackResult.NOTHING
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE x (y)")
    assert ratchet_rollback.prepare(tmp_path / "other.db", DecryptMark("A", 1)) is RollbackResult.NOTHING


def test_a_record_that_cannot_be_read_is_an_error() -> None:
    assert sending_chain(record("r", 4)).index == 4
    assert only_received(None, record("r", 0))
    for strange in (b"", b"{}", b'{"SessionState": {}}', b"\x0a\x01"):
        with pytest.raises(ValueError):
            sending_chain(strange)

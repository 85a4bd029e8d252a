"""What a kill left is undone or named, also when the same message is killed twice."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bot_service.engines.neonize.decrypt_marks import DecryptMark, DecryptMarks
from bot_service.engines.neonize.files import DeviceFiles
from bot_service.engines.neonize.lost_messages import DOUBTFUL, STORE
from bot_service.engines.neonize.store_recovery import StoreRecovery
from tests.bot_service.engines.test_neonize_ratchet_rollback import ANN, OWN, PUT, TABLES, record


def files(tmp_path: Path) -> DeviceFiles:
    made = DeviceFiles.of(tmp_path, "s")
    with closing(sqlite3.connect(made.store)) as db:
        db.executescript(TABLES)
    return made


def decrypt(made: DeviceFiles, marks: DecryptMarks, after: bytes) -> None:
    """The library takes a step for message A, and the process is killed before it is kept."""
    time.sleep(0.003)
    marks.begin(DecryptMark("A", int(time.time() * 1000)))
    with closing(sqlite3.connect(made.store)) as db, db:
        db.execute(PUT, (OWN, ANN, after))


def session(made: DeviceFiles) -> bytes | None:
    with closing(sqlite3.connect(made.store)) as db:
        row = db.execute("SELECT session FROM whatsmeow_sessions").fetchone()
        return row[0] if row else None


def test_a_message_that_is_killed_twice_is_undone_twice(tmp_path: Path) -> None:
    made = files(tmp_path)
    marks = DecryptMarks(made.marks)
    assert StoreRecovery().prepare("s", made, marks) == {}
    for _ in range(2):
        decrypt(made, marks, record("r1", 0))
        assert StoreRecovery().prepare("s", made, marks) == {}
        assert session(made) is None
    assert marks.unfinished() is None


def test_a_message_whose_end_was_not_seen_is_named_once(tmp_path: Path) -> None:
    made = files(tmp_path)
    marks = DecryptMarks(made.marks)
    marks.doubt(DecryptMark("D", 1000))
    assert StoreRecovery().prepare("s", made, marks) == {"D": DOUBTFUL}
    assert StoreRecovery().prepare("s", made, marks) == {}


def test_an_unfinished_message_of_a_broken_store_is_named(tmp_path: Path) -> None:
    made = DeviceFiles.of(tmp_path, "s")
    made.store.write_bytes(b"not a database, and longer than a header " * 10)
    marks = DecryptMarks(made.marks)
    marks.begin(DecryptMark("A", 1000))
    assert StoreRecovery().prepare("s", made, marks) == {"A": STORE}

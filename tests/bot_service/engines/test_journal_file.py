"""The journal loses nothing that was appended, tells nothing that was not, and says no when the disk does."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot_service.domain.message import InboundMessage, JournalRecord
from bot_service.engines.wire.journal_file import JournalError, JournalWriter, journal_files, read_journal
from bot_service.engines.wire.journal_format import FILE_HEADER, HEADER, HEADER_1, frame
from shared.clock import SystemClock
from tests.support.examples import examples


def record(number: int, text: str = "hello") -> JournalRecord:
    return JournalRecord(
        message=InboundMessage("s1", "chat", f"m{number}", "sender", at_ms=number, type="text", text=text)
    )


def ids(path: Path, offset: int = 0, limit_bytes: int = 1 << 20) -> list[str]:
    found: list[str] = []
    while True:
        part = read_journal(path, offset, limit_bytes=limit_bytes)
        if not part.records:
            return found
        found += [item.message.id for _, item in part.records if item.message]
        offset = part.end


@pytest.fixture
def make_writer(tmp_path: Path) -> Callable[..., JournalWriter]:
    def make(**options: int) -> JournalWriter:
        writer = JournalWriter(tmp_path, "w1", SystemClock(), grew=lambda _name, _end: None, **options)
        writer.open()
        return writer

    return make


def test_records_come_back_in_order_and_from_any_offset(
    tmp_path: Path, make_writer: Callable[..., JournalWriter]
) -> None:
    writer = make_writer()
    for number in range(100):
        writer.append(record(number))
    name, end = writer.position
    writer.close()
    whole = read_journal(tmp_path / name)
    assert [item.message.id for _, item in whole.records if item.message] == [f"m{n}" for n in range(100)]
    assert (whole.end, whole.torn, whole.damaged) == (end, False, 0)
    middle = whole.records[49][0]
    assert ids(tmp_path / name, middle) == [f"m{n}" for n in range(50, 100)]
    assert ids(tmp_path / name, limit_bytes=64) == [f"m{n}" for n in range(100)]


def test_a_torn_tail_is_told_and_not_read(tmp_path: Path, make_writer: Callable[..., JournalWriter]) -> None:
    writer = make_writer()
    for number in range(3):
        writer.append(record(number))
    name, end = writer.position
    writer.close()
    path = tmp_path / name
    body = msgspec.msgpack.encode(record(3))
    torn = frame(4, body)
    for length in (1, HEADER.size, len(torn) - 1):
        path.write_bytes(path.read_bytes()[:end] + torn[:length])
        part = read_journal(path)
        assert (len(part.records), part.end, part.torn) == (3, end, True)


def test_a_damaged_record_in_the_middle_is_skipped_and_counted(
    tmp_path: Path, make_writer: Callable[..., JournalWriter]
) -> None:
    writer = make_writer()
    for number in range(3):
        writer.append(record(number))
    name, _ = writer.position
    writer.close()
    path = tmp_path / name
    first_end = read_journal(path).records[0][0]
    data = bytearray(path.read_bytes())
    data[first_end + HEADER.size + 5] ^= 0xFF
    path.write_bytes(data)
    part = read_journal(path)
    assert [item.message.id for _, item in part.records if item.message] == ["m0", "m2"]
    assert part.damaged == 1


def test_an_offset_behind_the_end_is_refused(tmp_path: Path, make_writer: Callable[..., JournalWriter]) -> None:
    writer = make_writer()
    name, _ = writer.position
    writer.close()
    with pytest.raises(ValueError, match="behind the end"):
        read_journal(tmp_path / name, 1)


def test_the_writer_begins_a_new_file_when_the_old_one_is_long(
    tmp_path: Path, make_writer: Callable[..., JournalWriter]
) -> None:
    writer = make_writer(rotate_bytes=2000)
    for number in range(100):
        writer.append(record(number))
    writer.close()
    files = journal_files(tmp_path)
    assert len(files) > 2
    assert [found for name, _ in files for found in ids(tmp_path / name)] == [f"m{n}" for n in range(100)]


def test_many_threads_may_append_at_once(tmp_path: Path, make_writer: Callable[..., JournalWriter]) -> None:
    writer = make_writer()

    def run(base: int) -> None:
        for number in range(200):
            writer.append(record(base + number))

    threads = [threading.Thread(target=run, args=(base * 1000,)) for base in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    name, _ = writer.position
    writer.close()
    found = ids(tmp_path / name)
    assert len(found) == len(set(found)) == 1600
    assert [f for f in found if int(f[1:]) // 1000 == 3] == [f"m{3000 + n}" for n in range(200)]


def test_a_full_disk_raises_and_leaves_nothing_half_written(
    tmp_path: Path, make_writer: Callable[..., JournalWriter]
) -> None:
    writer = make_writer()
    for number in range(10):
        writer.append(record(number))
    name, end = writer.position
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # The kernel writes only the first 20 bytes of the next record, as a disk does that fills up.
        resource.setrlimit(resource.RLIMIT_FSIZE, (end + 20, hard))
        for _ in range(2):
            with pytest.raises(JournalError):
                writer.append(record(10))
            assert (tmp_path / name).stat().st_size in (end, end + 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    writer.append(record(11))
    writer.close()
    assert ids(tmp_path / name) == [f"m{n}" for n in range(10)] + ["m11"]


def test_an_append_after_close_raises(make_writer: Callable[..., JournalWriter]) -> None:
    writer = make_writer()
    writer.close()
    with pytest.raises(JournalError, match="closed"):
        writer.append(record(1))


def test_what_was_appended_survives_kill_9(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from bot_service.domain.message import InboundMessage, JournalRecord
from bot_service.engines.wire.journal_file import JournalWriter
from shared.clock import SystemClock
writer = JournalWriter(Path(sys.argv[1]), "w1", SystemClock(), grew=lambda n, e: None)
writer.open()
for number in range(500):
    writer.append(JournalRecord(message=InboundMessage("s", "c", f"m{number}", "x", at_ms=1, type="text")))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=120, check=False, cwd=os.getcwd())
    assert done.returncode == -signal.SIGKILL
    ((name, _),) = journal_files(tmp_path)
    assert ids(tmp_path / name) == [f"m{n}" for n in range(500)]


@given(st.binary(max_size=200), st.integers(0, 60), st.booleans())
@example(b"\xfe\xc1VR", 0, False)
@settings(max_examples=examples(50))
def test_rubbish_never_raises_and_never_makes_a_record(
    tmp_path_factory: pytest.TempPathFactory, rubbish: bytes, cut: int, new: bool
) -> None:
    path = tmp_path_factory.mktemp("j") / "w-1.journal"
    body = msgspec.msgpack.encode(record(1))
    good = FILE_HEADER + frame(1, body) if new else HEADER_1.pack(len(body), zlib.crc32(body)) + body
    path.write_bytes(good + rubbish[:cut] + rubbish)
    part = read_journal(path)
    assert part.records[0][1].message == record(1).message
    assert len(part.records) == 1

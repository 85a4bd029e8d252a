"""Damaged journals: every readable record is found again, and the number of lost ones is exact."""

from __future__ import annotations

import os
import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_service.domain.message import InboundMessage, JournalRecord
from bot_service.engines.wire.journal_file import JournalWriter, journal_files, read_journal
from bot_service.engines.wire.journal_format import HEADER, HEADER_1
from bot_service.engines.wire.journal_scan import Gap
from shared.clock import SystemClock
from tests.support.examples import examples
from tests.support.waiting import eventually

RECORDS = 400


def record(number: int, text: str = "") -> JournalRecord:
    chat = f"{4915100000000 + number % 7}@s.whatsapp.net"
    return JournalRecord(
        message=InboundMessage("one", chat, f"m{number}", chat, number, "text", text or f"text {number}")
    )


class File:
    """A journal of 400 records and where each of them begins and ends."""

    def __init__(self, folder: Path) -> None:
        writer = JournalWriter(folder, "w1", SystemClock(), grew=lambda _file, _end: None)
        writer.open()
        begin = 8
        self.spans: list[tuple[int, int]] = []
        for number in range(1, RECORDS + 1):
            writer.append(record(number))
            self.spans.append((begin, writer.position[1]))
            begin = writer.position[1]
        self.path = folder / writer.position[0]
        writer.close()
        self.data = bytearray(self.path.read_bytes())

    def read(self, *, limit_bytes: int = 1 << 20, offset: int = 0) -> tuple[list[int], list[Gap], Gap | None, bool]:
        """Numbers of the messages, gaps, damaged tail, torn."""
        self.path.write_bytes(self.data)
        numbers: list[int] = []
        gaps: list[Gap] = []
        while True:
            piece = read_journal(self.path, offset, limit_bytes=limit_bytes)
            gaps += piece.gaps
            numbers += [int(item.message.id[1:]) for _, item in piece.records if item.message]
            if not piece.records:
                return numbers, gaps, piece.tail, piece.torn
            offset = piece.end


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def everything_but(*lost: int) -> list[int]:
    return [number for number in range(1, RECORDS + 1) if number not in lost]


@pytest.mark.parametrize("limit_bytes", [1 << 20, 1000])
@pytest.mark.parametrize(
    ("byte", "where"),
    [(0, "magic"), (7, "number"), (8, "length, huge"), (11, "length"), (13, "checksum"), (18, "check"), (30, "body")],
)
def test_one_flipped_bit_costs_one_record_wherever_it_is(file: File, byte: int, where: str, limit_bytes: int) -> None:
    begin, end = file.spans[299]
    for bit in (0, 3, 7):
        file.data[begin + byte] ^= 1 << bit
        numbers, gaps, tail, torn = file.read(limit_bytes=limit_bytes)
        assert numbers == everything_but(300), where
        assert [(gap.start, gap.end, gap.records) for gap in gaps] == [(begin, end, 1)]
        assert (tail, torn) == (None, False)
        file.data[begin + byte] ^= 1 << bit


def test_zeroed_pages_and_removed_bytes_cost_exactly_what_they_held(file: File) -> None:
    whole = bytes(file.data)
    for start, end in ((4096, 8192), (0, 4096), (file.spans[0][0], file.spans[9][1] - 1), (20_000, 32_768)):
        hit = [n for n, (begin, stop) in enumerate(file.spans, 1) if begin < end and stop > start]
        file.data[:] = whole
        file.data[start:end] = bytes(end - start)
        numbers, gaps, tail, torn = file.read()
        assert numbers == everything_but(*hit)
        assert sum(gap.records for gap in gaps) == len(hit)
        assert (tail, torn) == (None, False)
        file.data[:] = whole
        del file.data[start:end]
        numbers, gaps, *_ = file.read(limit_bytes=700)
        assert numbers == everything_but(*hit)
        assert sum(gap.records for gap in gaps) == len(hit)


def test_foreign_bytes_between_records_cost_nothing_and_are_named(file: File) -> None:
    begin = file.spans[100][0]
    file.data[begin:begin] = random.Random(1).randbytes(3000)
    numbers, gaps, tail, torn = file.read()
    assert numbers == everything_but()
    assert [(gap.start, gap.end, gap.records) for gap in gaps] == [(begin, begin + 3000, 0)]
    assert (tail, torn) == (None, False)


def test_a_number_before_the_offset_is_found_in_the_file(file: File) -> None:
    file.data[file.spans[200][0] + 9] ^= 1
    del file.data[file.spans[201][0] : file.spans[203][0]]
    numbers, gaps, *_ = file.read(offset=file.spans[199][1])
    assert numbers == list(range(204, RECORDS + 1))
    assert sum(gap.records for gap in gaps) == 3


def test_only_the_first_part_of_one_record_is_a_torn_end(file: File) -> None:
    begin, end = file.spans[-1]
    whole = bytes(file.data)
    for keep in (1, HEADER.size - 1, HEADER.size, end - begin - 1):
        file.data[:] = whole[: begin + keep]
        numbers, gaps, tail, torn = file.read()
        assert (numbers, gaps, tail, torn) == (everything_but(400), [], None, True)
    for damage in (b"\0" * 50, b"x", random.Random(2).randbytes(30)):
        file.data[:] = whole[:begin] + damage
        numbers, gaps, tail, torn = file.read()
        assert (numbers, gaps, torn) == (everything_but(400), [], False)
        assert tail is not None
        assert (tail.start, tail.end, tail.records) == (begin, begin + len(damage), 1)
    file.data[:] = whole
    for byte in (1, 10, 14, 25):  # a flipped bit in the very last record is no torn end
        file.data[begin + byte] ^= 4
        _numbers, _gaps, tail, torn = file.read()
        assert tail is not None
        assert not torn
        file.data[begin + byte] ^= 4


def test_what_is_legible_of_a_lost_message_names_it(file: File) -> None:
    begin, end = file.spans[41]
    file.data[end - 1] ^= 1  # the last byte of the text
    _numbers, gaps, *_ = file.read()
    assert [gap.named for gap in gaps] == [(("one", "m42"),)]
    del begin


def test_a_message_cannot_forge_a_record(tmp_path: Path) -> None:
    """The text of a message holds a whole record as text; the record around it is damaged."""
    body = msgspec.msgpack.encode(record(1, "forged"))
    old = HEADER_1.pack(len(body), zlib.crc32(body)) + body
    writer = JournalWriter(tmp_path, "w1", SystemClock(), grew=lambda _file, _end: None)
    writer.open()
    writer.append(record(2, old.decode("latin-1")))
    writer.append(record(3))
    name, _ = writer.position
    writer.close()
    data = bytearray((tmp_path / name).read_bytes())
    data[10] ^= 0xFF
    (tmp_path / name).write_bytes(data)
    piece = read_journal(tmp_path / name)
    assert [item.message.id for _, item in piece.records if item.message] == ["m3"]


def version_1(count: int) -> tuple[bytearray, list[int]]:
    data, begins = bytearray(), []
    for number in range(1, count + 1):
        body = msgspec.msgpack.encode(record(number))
        begins.append(len(data))
        data += HEADER_1.pack(len(body), zlib.crc32(body)) + body
    return data, begins


@pytest.mark.parametrize(("byte", "value"), [(0, 0x40), (1, 0x30), (2, 0x01), (3, 0x05), (5, 0x10), (20, 0xFF)])
def test_a_file_of_an_earlier_version_is_read_and_searched_too(tmp_path: Path, byte: int, value: int) -> None:
    data, begins = version_1(RECORDS)
    path = tmp_path / "w0-1.journal"
    data[begins[299] + byte] ^= value
    path.write_bytes(data)
    found: list[int] = []
    lost = offset = 0
    while (piece := read_journal(path, offset, limit_bytes=5000)).records:
        found += [int(item.message.id[1:]) for _, item in piece.records if item.message]
        lost, offset = lost + piece.damaged, piece.end
    assert found == everything_but(300)
    assert (lost, piece.tail, piece.torn) == (1, None, False)
    path.write_bytes(data[: begins[-1] + 30])
    piece = read_journal(path, begins[-1])
    assert (piece.records, piece.tail, piece.torn) == ([], None, True)


@given(st.data())
@settings(max_examples=examples(40), deadline=None)
def test_whatever_is_damaged_the_rest_arrives_and_the_count_is_exact(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("j")
    file = File(folder)
    hit: set[int] = set()
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(8, len(file.data) - 2000))
        length = data.draw(st.sampled_from([1, 2, 30, 500]))
        noise = data.draw(st.binary(min_size=length, max_size=length))
        if noise == bytes(file.data[at : at + length]):
            continue
        hit |= {
            n
            for n, (begin, stop) in enumerate(file.spans, 1)
            if begin < at + length
            and stop > at
            and noise[max(0, begin - at) : stop - at] != file.data[max(at, begin) : min(stop, at + length)]
        }
        file.data[at : at + length] = noise
    numbers, gaps, _tail, _torn = file.read(limit_bytes=data.draw(st.sampled_from([500, 5000, 1 << 20])))
    assert set(numbers) >= set(everything_but(*hit))
    assert sum(gap.records for gap in gaps) == RECORDS - len(numbers)
    shutil.rmtree(folder)


# --- the writer ---


@pytest.fixture
def make_writer(tmp_path: Path) -> Callable[[], JournalWriter]:
    def make() -> JournalWriter:
        writer = JournalWriter(tmp_path, "w1", SystemClock(), grew=lambda _file, _end: None)
        writer.open()
        for number in range(1, 51):
            writer.append(record(number))
        return writer

    return make


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(b"something else")
    os.replace(other, path)


def move_away(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))


def remove_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def messages_in(folder: Path) -> list[str]:
    found = []
    for name, _ in journal_files(folder):
        piece = read_journal(folder / name)
        found += [item.message.id for _, item in piece.records if item.message]
    return found


@pytest.mark.parametrize("harm", [delete, replace, move_away, remove_the_folder])
async def test_a_file_without_its_name_is_written_again_within_seconds(
    tmp_path: Path, make_writer: Callable[[], JournalWriter], harm: Callable[[Path], None]
) -> None:
    writer = make_writer()
    name, _ = writer.position
    harm(tmp_path / name)
    await eventually(lambda: writer.position[0] != name, within_s=10, what="a new file, without a further record")
    writer.append(record(51))
    new, _ = writer.position
    writer.close()
    piece = read_journal(tmp_path / new)
    assert [item.message.id for _, item in piece.records if item.message] == [f"m{n}" for n in range(1, 52)]
    assert piece.gaps == ()
    (before,) = [item.meta["before"] for _, item in piece.records if item.meta]
    assert before == {"file": name, "records": 50, "what": before["what"], "copied": True}
    assert before["what"] in ("removed", "replaced")


@pytest.mark.parametrize("keep", [0, 8, 500])
def test_a_file_that_was_cut_off_is_left_before_the_next_record(
    tmp_path: Path, make_writer: Callable[[], JournalWriter], keep: int
) -> None:
    writer = make_writer()
    name, _ = writer.position
    os.truncate(tmp_path / name, keep)
    writer.append(record(51))
    new, _ = writer.position
    writer.close()
    assert new != name
    piece = read_journal(tmp_path / new)
    assert piece.records[0][1].meta == {"before": {"file": name, "records": 50, "what": "truncated", "copied": False}}
    assert [item.message.id for _, item in piece.records if item.message] == ["m51"]


def test_a_file_that_another_process_appended_to_is_left(
    tmp_path: Path, make_writer: Callable[[], JournalWriter]
) -> None:
    writer = make_writer()
    name, _ = writer.position
    with (tmp_path / name).open("ab") as other:
        other.write(b"noise")
    writer.append(record(51))
    assert writer.position[0] != name
    writer.close()
    assert sorted(messages_in(tmp_path)) == sorted(f"m{n}" for n in range(1, 52))

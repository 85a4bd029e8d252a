"""The bytes of a journal: a file header, then records, each with a header that checks itself.

A record is ``magic (4 bytes), number, length, crc32 of the body, crc32 of the 16 bytes before`` and
the body, a msgpack JournalRecord; all numbers are 4 bytes, big-endian. The number counts the
records of the file from 1, so that a reader knows how many are missing between two of them.

Files of earlier versions have no file header; their records are ``length, crc32 of the body`` and
the body. They are read, never written.
"""

from __future__ import annotations

import re
import struct
import zlib

import msgspec

from bot_service.domain.message import JournalRecord

FILE_HEADER = b"\xfe\xc1VJRNL\x02"
# Text in a body is UTF-8, which never holds the byte 0xFE, and msgpack never uses 0xC1: no message
# can look like the begin of a record.
MAGIC = b"\xfe\xc1VR"
HEADER = struct.Struct(">4sIIII")
HEADER_1 = struct.Struct(">II")
MAX_RECORD_BYTES = 8 * 1024 * 1024

_CHECKED = struct.Struct(">4sIII")
_CHECK = struct.Struct(">I")
# A header of version 1 is known by the body that follows it: a map with the names of its fields.
_BEGIN_1 = re.compile(rb"(?=\x00[\x00-\x80].{6}[\x81-\x83][\xa4\xa7](?:mess|rece|meta))", re.DOTALL)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(JournalRecord)


def encode_body(record: JournalRecord) -> bytes:
    return _ENCODER.encode(record)


def frame(number: int, body: bytes) -> bytes:
    """The bytes of a record."""
    checked = _CHECKED.pack(MAGIC, number, len(body), zlib.crc32(body))
    return b"".join((checked, _CHECK.pack(zlib.crc32(checked)), body))


def header_at(data: bytes, at: int) -> tuple[int, int, int] | None:
    """``(number, length, crc)`` of the record header at ``at``; None when there is no valid one."""
    if len(data) - at < HEADER.size:
        return None
    magic, number, length, crc, check = HEADER.unpack_from(data, at)
    if magic != MAGIC or length > MAX_RECORD_BYTES or zlib.crc32(data[at : at + _CHECKED.size]) != check:
        return None
    return number, length, crc


def header_1_at(data: bytes, at: int) -> tuple[int, int, int] | None:
    """The same in a file of version 1, where a record has no number: ``(0, length, crc)``."""
    if len(data) - at < HEADER_1.size:
        return None
    length, crc = HEADER_1.unpack_from(data, at)
    return (0, length, crc) if 0 < length <= MAX_RECORD_BYTES else None


def decode(body: bytes, crc: int) -> JournalRecord | None:
    """None when the checksum or the content is wrong."""
    return read_unchecked(body) if zlib.crc32(body) == crc else None


def read_unchecked(body: bytes) -> JournalRecord | None:
    """A body with a wrong checksum, to name what was lost; never to deliver it."""
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError):
        return None


def next_begin(data: bytes, at: int) -> int:
    """Where the next record may begin at or behind ``at``; -1 when nowhere."""
    return data.find(MAGIC, at)


def next_begin_1(data: bytes, at: int) -> int:
    """The same in a file of version 1."""
    found = _BEGIN_1.search(data, at)
    return found.start() if found is not None else -1

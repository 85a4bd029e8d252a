"""The few protobuf fields of Signal's envelopes, written and read by number (varints and bytes only)."""

from __future__ import annotations


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def write(*fields: tuple[int, int | bytes]) -> bytes:
    """A message of these fields, in this order."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            out += _varint(number << 3 | 2) + _varint(len(value)) + value
    return bytes(out)


class Fields:
    """A parsed message: `integer(n)` and `data(n)`, with zero and empty for absent fields."""

    def __init__(self, raw: bytes) -> None:
        self._integers: dict[int, int] = {}
        self._data: dict[int, bytes] = {}
        at = 0
        while at < len(raw):
            key, at = self._read_varint(raw, at)
            value, at = self._read_varint(raw, at)
            if key & 7 == 0:
                self._integers[key >> 3] = value
            elif key & 7 == 2:
                self._data[key >> 3] = raw[at : at + value]
                at += value
            else:
                raise ValueError(f"wire type {key & 7} is not used by Signal")

    @staticmethod
    def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
            shift += 7

    def integer(self, number: int) -> int:
        return self._integers.get(number, 0)

    def data(self, number: int) -> bytes:
        return self._data.get(number, b"")

    def has(self, number: int) -> bool:
        return number in self._integers or number in self._data

"""Reads from a stored Signal session how far its sending chain has gone; nothing else of it is looked at."""

from __future__ import annotations

from dataclasses import dataclass

CURRENT_SESSION, SENDER_CHAIN = 1, 6
RATCHET_KEY, CHAIN_KEY, INDEX = 1, 3, 1


@dataclass(frozen=True, slots=True)
class SendingChain:
    """`key` changes with every turn of the ratchet, `index` grows with every message sent on it."""

    key: bytes
    index: int


def sending_chain(record: bytes) -> SendingChain:
    """The sending chain of a session record. Raises ``ValueError`` when the record is not one."""
    try:
        chain = _part(_part(record, CURRENT_SESSION), SENDER_CHAIN)
        return SendingChain(_part(chain, RATCHET_KEY), _number(_part(chain, CHAIN_KEY), INDEX))
    except IndexError as error:
        raise ValueError("not a session record") from error


def only_received(before: bytes | None, after: bytes) -> bool:
    """Whether nothing was sent between two states of one session; `before` None: the session is new."""
    now = sending_chain(after)
    if before is None:
        return now.index == 0
    was = sending_chain(before)
    return now.index == was.index if now.key == was.key else now.index == 0


def _fields(raw: bytes) -> list[tuple[int, int | bytes]]:
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        value, at = _varint(raw, at)
        if key & 7 == 2:
            found.append((key >> 3, raw[at : at + value]))
            at += value
        elif key & 7 == 0:
            found.append((key >> 3, value))
        else:
            raise ValueError("not a session record")
    return found


def _part(raw: bytes, number: int) -> bytes:
    return next((value for field, value in _fields(raw) if field == number and isinstance(value, bytes)), b"")


def _number(raw: bytes, number: int) -> int:
    return next((value for field, value in _fields(raw) if field == number and isinstance(value, int)), 0)


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7

"""Event ids that sort by time, and message ids in the form that WhatsApp's own clients use."""

from __future__ import annotations

import hashlib
import secrets

from shared.clock import Clock, to_ms

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: sorts like the number
_TIME_CHARS, _COUNT_CHARS, _NODE_CHARS = 10, 5, 3


class EventIds:
    """Strictly growing ids, also when the wall clock steps back; unique among replicas.

    ``after``: the newest id in the store, so that ids also grow over a restart.
    """

    def __init__(self, clock: Clock, *, after: str | None = None) -> None:
        self._clock = clock
        self._node = _base32(secrets.randbelow(32**_NODE_CHARS), _NODE_CHARS)
        self._at_ms = _number(after[:_TIME_CHARS]) if after else 0
        self._count = _number(after[_TIME_CHARS : _TIME_CHARS + _COUNT_CHARS]) if after else 0

    def follow(self, newest: str | None) -> None:
        """Another replica made ``newest``: later ids of this one are higher, whatever its clock says."""
        if newest is None:
            return
        at_ms, count = _number(newest[:_TIME_CHARS]), _number(newest[_TIME_CHARS : _TIME_CHARS + _COUNT_CHARS])
        self._at_ms, self._count = max((self._at_ms, self._count), (at_ms, count))

    def next(self) -> str:
        """18 characters: milliseconds, a counter, the node."""
        now_ms = to_ms(self._clock.now())
        if now_ms > self._at_ms:
            self._at_ms, self._count = now_ms, 0
        else:
            self._count += 1
            if self._count >= 32**_COUNT_CHARS:
                self._at_ms, self._count = self._at_ms + 1, 0
        return _base32(self._at_ms, _TIME_CHARS) + _base32(self._count, _COUNT_CHARS) + self._node


def is_event_id(text: str) -> bool:
    """Whether ``text`` has the form of an id of :class:`EventIds`."""
    return len(text) == _TIME_CHARS + _COUNT_CHARS + _NODE_CHARS and all(char in _ALPHABET for char in text)


def at_ms(event_id: str) -> int:
    """When an id was made, in ms since the epoch."""
    return _number(event_id[:_TIME_CHARS])


def first_at(at_ms: int) -> str:
    """Sorts before every id that was made at ``at_ms`` since the epoch or later."""
    return _base32(max(0, at_ms), _TIME_CHARS)


def new_message_id() -> str:
    """An id for a message to send, in the form that WhatsApp's web client uses."""
    return "3EB0" + secrets.token_hex(9).upper()


def reply_message_id(session: str, chat: str, message_id: str) -> str:
    """The id of the only reply to ``message_id``: the same for every call."""
    digest = hashlib.sha256(f"reply\0{session}\0{chat}\0{message_id}".encode()).hexdigest()
    return "3EB0" + digest[:18].upper()


def _base32(value: int, width: int) -> str:
    out = []
    for _ in range(width):
        out.append(_ALPHABET[value & 31])
        value >>= 5
    return "".join(reversed(out))


def _number(text: str) -> int:
    value = 0
    for char in text:
        value = value * 32 + _ALPHABET.index(char)
    return value

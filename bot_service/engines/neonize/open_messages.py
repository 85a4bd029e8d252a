"""The messages that came and are not finished, in the order in which they came.

Not safe for threads by itself: its owner holds a lock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class OpenMessage:
    """`touched`: a part of it was handled. `reading`: a part is being read now."""

    id: str
    parts_left: int
    is_open: bool = True
    reading: bool = False
    touched: bool = False


class OpenMessages:
    """One that could not be read comes again under its id, perhaps before the first try is over: an id may be here twice."""

    def __init__(self) -> None:
        self._by_id: dict[str, deque[OpenMessage]] = {}
        # Those that wait to be decrypted.
        self._order: deque[OpenMessage] = deque()

    @property
    def waiting(self) -> int:
        """How many wait to be decrypted, closed ones that nobody has looked at since included."""
        return len(self._order)

    def add(self, message: OpenMessage) -> None:
        self._by_id.setdefault(message.id, deque()).append(message)
        self._order.append(message)

    def oldest(self, message_id: str) -> OpenMessage | None:
        same = self._by_id.get(message_id)
        return same[0] if same else None

    def take_next(self) -> OpenMessage | None:
        """The one that is decrypted next; it waits no more."""
        while self._order:
            message = self._order.popleft()
            if message.is_open:
                return message
        return None

    def put_back(self, message: OpenMessage) -> None:
        """It was not the next one after all."""
        self._order.appendleft(message)

    def close(self, message: OpenMessage) -> None:
        """It is finished, or waited for no more."""
        message.is_open = False
        same = self._by_id[message.id]
        same.remove(message)
        if not same:
            del self._by_id[message.id]

    def close_all_but(self, begun: OpenMessage | None) -> None:
        """A new connection: what waited will come again."""
        self._order.clear()
        for message in [one for same in self._by_id.values() for one in same if one is not begun]:
            self.close(message)

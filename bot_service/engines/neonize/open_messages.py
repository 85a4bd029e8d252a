"""The unfinished inbound messages, in the order of their arrival. Not thread-safe."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class OpenMessage:
    """`touched`: a part was handled. `reading`: a part is being read now."""

    id: str
    parts_left: int
    is_open: bool = True
    reading: bool = False
    touched: bool = False


class OpenMessages:
    """An id may be here twice: an unreadable message comes again."""

    def __init__(self) -> None:
        self._by_id: dict[str, deque[OpenMessage]] = {}
        # Those that wait to be decrypted.
        self._order: deque[OpenMessage] = deque()

    @property
    def waiting(self) -> int:
        """How many wait to be decrypted, including closed ones that were not removed yet."""
        return len(self._order)

    def add(self, message: OpenMessage) -> None:
        self._by_id.setdefault(message.id, deque()).append(message)
        self._order.append(message)

    def oldest(self, message_id: str) -> OpenMessage | None:
        same = self._by_id.get(message_id)
        return same[0] if same else None

    def take_next(self) -> OpenMessage | None:
        """Removes and returns the one that is decrypted next."""
        while self._order:
            message = self._order.popleft()
            if message.is_open:
                return message
        return None

    def put_back(self, message: OpenMessage) -> None:
        """It was not the next one."""
        self._order.appendleft(message)

    def close(self, message: OpenMessage) -> None:
        """It is finished or given up."""
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

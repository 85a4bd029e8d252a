"""What the server still owes one device: a stanza stays until the device has acknowledged it, and is sent again at the next login."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tests.fake_whatsapp.nodes import Node


def key_of(tag: str, node: Node) -> str:
    """What a stanza and its acknowledgement have in common: class and id, for receipts also type and participant."""
    extra = f":{node.text('type')}:{node.text('participant')}" if tag == "receipt" else ""
    return f"{tag}:{node.text('id')}{extra}"


class OfflineQueue:
    """Stanzas by position; positions only grow, so a connection remembers how far it has sent."""

    def __init__(self) -> None:
        self._stanzas: dict[int, Node] = {}
        self._positions: dict[str, deque[int]] = {}
        self.end = 0

    def add(self, stanza: Node) -> None:
        """Owe one more stanza; the same key again replaces nothing and is owed beside the first."""
        self._stanzas[self.end] = stanza
        self._positions.setdefault(key_of(stanza.tag, stanza), deque()).append(self.end)
        self.end += 1

    def settle(self, key: str) -> Node | None:
        """The device acknowledged it: forget and return it, the oldest when several have that key.

        A message that is asked for again is owed twice until the first is acknowledged, which comes after the asking.
        """
        positions = self._positions.get(key)
        if not positions:
            return None
        position = positions.popleft()
        if not positions:
            del self._positions[key]
        return self._stanzas.pop(position, None)

    def get(self, position: int) -> Node | None:
        return self._stanzas.get(position)

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self._stanzas.values()))

    def __len__(self) -> int:
        return len(self._stanzas)

    def count(self, tag: str) -> int:
        """How many stanzas of this kind are owed."""
        return sum(stanza.tag == tag for stanza in self._stanzas.values())

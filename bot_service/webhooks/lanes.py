"""What waits for one webhook, in memory: lanes that keep their order, and the receiver that all of them share."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from bot_service.store.deliveries import Delivery

ASIDE = "\0aside"  # the lane without order: deliveries that are retried by themselves
LANE_MEMORY = 100
NEVER_MS = 1 << 62


@dataclass(slots=True)
class Lane:
    """Deliveries of one session to one webhook. ``more``: the store holds some behind ``rows``."""

    webhook: str
    name: str
    rows: deque[Delivery] = field(default_factory=deque)
    after: str = ""
    more: bool = False
    due_ms: int = 0
    alarm_ms: int = -1  # the time a timer is set for, so that none is set twice
    busy: bool = False  # being worked on, or in line for it

    @property
    def is_aside(self) -> bool:
        return self.name == ASIDE

    @property
    def empty(self) -> bool:
        return not self.rows and not self.more

    def offer(self, delivery: Delivery) -> None:
        """Take a new delivery; beyond the limit it is left to be read from the store."""
        if self.more or len(self.rows) >= LANE_MEMORY:
            self.more = True
        else:
            self.rows.append(delivery)

    def merge(self, fetched: list[Delivery], limit: int) -> None:
        """Add what the store had. Rows that were offered while it was read may be in both."""
        if len(fetched) >= limit:
            self.rows = deque(fetched)
            self.more = True
            return
        known = {delivery.event for delivery in fetched}
        extra = [delivery for delivery in self.rows if delivery.event not in known]
        self.rows = deque(sorted([*fetched, *extra], key=lambda delivery: delivery.event))

    def pop(self) -> Delivery | None:
        if not self.rows:
            return None
        head = self.rows.popleft()
        self.after = max(self.after, head.event)
        return head

    def hasten(self, now_ms: int) -> None:
        """Everything in it is due at ``now_ms`` at the latest, unless the webhook is switched off."""
        self.rows = deque(replace(row, next_ms=min(row.next_ms, now_ms)) for row in self.rows)
        if self.due_ms < NEVER_MS:
            self.due_ms = 0


@dataclass(slots=True)
class ReceiverState:
    """One webhook's receiver. ``failures`` counts attempts that failed since one succeeded."""

    webhook: str
    lanes: dict[str, Lane] = field(default_factory=dict)
    line: deque[Lane] = field(default_factory=deque)  # lanes that wait for a free slot
    active: int = 0
    failures: int = 0
    paused_until_ms: int = 0
    alarm_ms: int = -1

    def lane(self, name: str) -> Lane:
        if name not in self.lanes:
            self.lanes[name] = Lane(self.webhook, name)
        return self.lanes[name]

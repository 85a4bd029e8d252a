"""A channel in memory with answers that the test sets; keeps what it took, when, and what it refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.clock import Clock
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice

OK = Delivered(True, "ok")
FAILS = Delivered(False, "http_500")


@dataclass
class FakeNotifier:
    """``answer`` decides each try; all is taken when it is not set. ``hang`` keeps every try until it is cancelled."""

    clock: Clock
    channel: str = "aaaa"
    answer: Callable[[Notice], Delivered] | None = None
    hang: bool = False
    taken: list[tuple[float, Notice]] = field(default_factory=list)
    tried: list[tuple[float, Notice]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.label = f"fake {self.channel}"

    async def send(self, notice: Notice) -> Delivered:
        self.tried.append((self.clock.monotonic(), notice))
        if self.hang:
            await asyncio.Event().wait()
        delivered = self.answer(notice) if self.answer else OK
        if delivered.ok:
            self.taken.append((self.clock.monotonic(), notice))
        return delivered

    @property
    def kinds(self) -> list[str]:
        """Kinds of the notices that were taken, in order."""
        return [str(notice.kind) for _, notice in self.taken]

    @property
    def ids(self) -> list[str]:
        return [notice.id for _, notice in self.taken]

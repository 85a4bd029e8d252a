"""A ledger in memory that runs in the caller's thread, for simulations and tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from watchdog.ledger import schema
from watchdog.ledger.shared_memory import SharedMemory
from watchdog.ledger.sqlite import Ledger
from watchdog.ledger.storage import connect

T = TypeVar("T")


class MemoryLedger(Ledger):
    """No threads, no lock."""

    def __init__(self) -> None:
        self._writer = self._reader = connect(":memory:")
        self._durable = True
        self._shared = SharedMemory(None)
        self._began_s = 0.0
        schema.bring_up_to_date(self._writer)

    async def write(self, fn: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        return self._transact(fn, durable)

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        return fn(self._reader)

    def close(self) -> None:
        self._writer.close()


def open_in_memory() -> Ledger:
    return MemoryLedger()

"""The clock as a dependency: wall time for storage and people, monotonic time for durations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The time of a program; tests pass a fake one."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; only differences have a meaning."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of monotonic time."""
        ...

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        """Call ``ring`` after ``seconds`` of monotonic time; the returned function cancels it."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        return asyncio.get_running_loop().call_later(seconds, ring).cancel


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``, the form of a time on the wire."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """The reverse of :func:`iso`; raises ``ValueError`` for anything without an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time without an offset: {text!r}")
    return moment.astimezone(UTC)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # the end of the year 9999


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, the form of a time in the stores."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """The reverse of :func:`to_ms`; a time after the year 9999 becomes its end."""
    return _EPOCH + timedelta(milliseconds=min(max(milliseconds, 0), _LAST_MS))


def days_old(days: float) -> str:
    """An age in words: ``less than a day old``, ``1 day old``, ``12 days old``."""
    whole = round(days)
    return "less than a day old" if days < 1 else f"{whole} day{'s' if whole != 1 else ''} old"


def epoch_ms(clock: Clock) -> int:
    """Wall time now, in milliseconds since the epoch."""
    return to_ms(clock.now())

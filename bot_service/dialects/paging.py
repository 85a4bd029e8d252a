"""Numbered pages over lists that are read with a cursor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot_service.domain.refused import invalid

T = TypeVar("T")
DEEPEST = 10_000
_AT_ONCE = 500


async def rows_from(
    fetch: Callable[[int, int], Awaitable[list[T]]], cursor: Callable[[T], int], *, skip: int, limit: int
) -> list[T]:
    """Up to ``limit`` rows after the first ``skip``. Raises :class:`Refused` ``invalid``.

    ``fetch(before, limit)`` reads rows before a cursor, 0 for the newest.
    """
    if skip > DEEPEST:
        raise invalid("page", f"must be among the first {DEEPEST} rows; this service pages further by time")
    before = 0
    while skip > 0:
        rows = await fetch(before, min(skip, _AT_ONCE))
        if not rows:
            return []
        before, skip = cursor(rows[-1]), skip - len(rows)
    return await fetch(before, limit)

"""Waiting for something to become true, with a deadline and a sentence when it does not."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    look: Callable[[], T | Awaitable[T]], *, within_s: float = 10.0, every_s: float = 0.02, what: str = "the condition"
) -> T:
    """The first truthy value of ``look``; asserts when it has none ``within_s`` seconds.

    An ``OSError`` or ``AssertionError`` of ``look`` counts as not yet.
    """
    deadline = time.monotonic() + within_s
    last: object = None
    while True:
        try:
            found = look()
            value = await found if inspect.isawaitable(found) else found
            if value:
                return value  # type: ignore[return-value]
            last = value
        except (OSError, AssertionError) as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come within {within_s} s; last seen: {last!r}")
        await asyncio.sleep(every_s)

"""Waiting for something to become true, with a deadline and a sentence when it does not."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

# How long a test waits for what must come. It costs nothing when it comes, and a machine that many share may take its time.
PATIENCE_S = 60.0


async def eventually(
    look: Callable[[], Any], *, within_s: float = PATIENCE_S, every_s: float = 0.02, what: str = "the condition"
) -> Any:
    """The first truthy value of ``look``, which may be a coroutine function; asserts when it has none ``within_s`` seconds.

    An ``OSError`` or ``AssertionError`` of ``look`` counts as not yet.
    """
    deadline = time.monotonic() + within_s
    last: object = None
    while True:
        try:
            found = look()
            value = await found if inspect.isawaitable(found) else found
            if value:
                return value
            last = value
        except (OSError, AssertionError) as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come within {within_s} s; last seen: {last!r}")
        await asyncio.sleep(every_s)

"""Runs the library's blocking calls on threads with time limits, and translates errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from bot_service.engines.neonize.errors import translate
from bot_service.engines.neonize.library import LibraryError
from bot_service.engines.port import EngineError

Answer = TypeVar("Answer")


async def on(executor: ThreadPoolExecutor, function: Callable[..., Answer], *args: Any) -> Answer:
    """The answer of ``function``, run on a thread of ``executor``."""
    return await asyncio.get_running_loop().run_in_executor(executor, lambda: function(*args))


async def within(limit_s: float, executor: ThreadPoolExecutor, function: Callable[..., Answer], *args: Any) -> Answer:
    """The same within ``limit_s`` seconds; raises :class:`EngineError` only.

    A call that takes longer keeps its thread until it ends.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await on(executor, function, *args)
    except TimeoutError as error:
        raise EngineError("timeout", f"no answer within {limit_s:g} s", retryable=True) from error
    except LibraryError as error:
        raise translate(str(error)) from error

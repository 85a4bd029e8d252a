"""What a test leaves on its event loop: running tasks, and errors that only the loop sees."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

# Servers and connections need some turns of the loop after they were closed.
_TURNS = 20
_found: list[str] = []


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keeps what asyncio and aiohttp report, such as an exception that was never retrieved."""
    parts = [str(context.get("message", "an error on the event loop"))]
    parts += [
        repr(context[name]) for name in ("exception", "task", "future", "client_session", "handle") if name in context
    ]
    _found.append(": ".join(parts))


def take_found() -> list[str]:
    """Errors that any loop reported since the last call; garbage reports its own now."""
    gc.collect(1)
    found, _found[:] = list(_found), []
    return found


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Keep the errors of this loop, also of objects that outlive it."""
    loop.set_exception_handler(_note)


async def tasks_left() -> list[str]:
    """Tasks that go on when everything of a test has ended."""
    own = asyncio.current_task()
    for _ in range(_TURNS):
        left = [task for task in asyncio.all_tasks() if task is not own]
        if not left:
            return []
        await asyncio.sleep(0)
    return [repr(task) for task in left if not task.done()]


async def connections_left(within_s: float = 5.0) -> list[str]:
    """Connections that were closed and whose end does not come: the loop must not end before they do."""
    # There is no public way to ask a loop for its connections.
    loop = cast(Any, asyncio.get_running_loop())
    deadline = time.monotonic() + within_s
    while True:
        # The last turn may have closed some more, after what it read.
        await asyncio.sleep(0)
        left = [each for each in loop._transports.values() if each.is_closing() and each._sock is not None]
        if not left and not loop._ready:
            return []
        if time.monotonic() >= deadline:
            return [repr(each) for each in left]
        await asyncio.sleep(0.001)


@contextmanager
def expected(text: str) -> Iterator[None]:
    """Inside, an error of the loop that holds ``text`` is part of the test; it must come."""
    take_found()
    yield
    found = take_found()
    assert any(text in each for each in found), f"no error of the loop says {text!r}: {found}"
    _found.extend(each for each in found if text not in each)

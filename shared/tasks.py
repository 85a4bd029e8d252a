"""Runs background loops by name: a crash is logged, the loop counts as dead and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from shared import logs
from shared.clock import Clock
from shared.hooks import Hook

log = logs.get(__name__)

# An endless loop and its name.
Loop = tuple[str, Callable[[], Awaitable[None]]]


class TaskGroupOfLoops:
    """The endless loops of one program. ``dead()`` names those that have not recovered.

    ``crashed`` notifies of every crash: name of the loop, type of the error.
    """

    def __init__(self, clock: Clock, *, restart_delay_s: float = 1.0) -> None:
        self._clock = clock
        self._restart_delay_s = restart_delay_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._crashed: dict[str, str] = {}
        self._running: set[str] = set()
        # Tasks that end with the loops.
        self.helpers = TaskSet()
        self._runs: dict[str, int] = {}
        self.crashed: Hook[[str, str]] = Hook()

    def start(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run ``loop`` until :meth:`stop`; restart it after a delay when it raises."""
        if name in self._tasks:
            raise ValueError(f"loop {name} is already running")
        self._tasks[name] = asyncio.create_task(self._keep(name, loop), name=name)

    def dead(self) -> dict[str, str]:
        """Crashed loops by name, with the type of the error."""
        return dict(self._crashed)

    async def stop(self) -> None:
        """Cancel all loops and wait for their end."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
        await self.helpers.close()

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        delay = self._restart_delay_s
        while True:
            started = self._clock.monotonic()
            self._running.add(name)
            try:
                await loop()
                return
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._running.discard(name)
                self._crashed[name] = type(error).__name__
                log.exception(f"Background loop {name} crashed", event_name="loop.crashed", loop=name)
                self.crashed(name, type(error).__name__)
            if self._clock.monotonic() - started > 60:
                delay = self._restart_delay_s
            await self._clock.sleep(delay)
            delay = min(delay * 2, 60.0)
            self._forget_when_it_runs(name)

    def _forget_when_it_runs(self, name: str) -> None:
        # A restarted loop counts as alive when it runs for ten restart delays without an error.
        run = self._runs[name] = self._runs.get(name, 0) + 1

        async def forget() -> None:
            await self._clock.sleep(self._restart_delay_s * 10)
            if self._runs[name] == run and name in self._running:
                self._crashed.pop(name, None)

        self.helpers.start(forget(), name=f"{name}.recovery")


class TaskSet:
    """The tasks of one owner. After :meth:`close` no task starts."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Run ``work`` as a task; its error is logged."""
        if self._closed:
            work.close()
            return
        task = spawn(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel every task and wait until all have ended."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
    """A task that is referenced until it ends; its error is logged."""
    task = asyncio.create_task(work, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error(f"Task {task.get_name()} failed", event_name="task.failed", exc_info=task.exception())

"""Group commit: calls that arrive during a transaction share the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.tasks import spawn

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Grouped(Generic[Asked, Answer]):
    """``work(items)`` is one transaction for up to ``size`` items, in the order of their calls.

    It returns one answer for each item; an exception is the answer to that item alone. One that it
    raises is the answer to all of them. A single call never waits for others.
    """

    def __init__(
        self, name: str, work: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | Exception]]], *, size: int = 50
    ) -> None:
        self._name, self._work, self._size = name, work, size
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._runs = False

    async def ask(self, item: Asked) -> Answer:
        """The answer to ``item``, after its transaction is committed."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if not self._runs:
            self._runs = True
            # A task of its own: a caller that goes away must not end the transaction of the others.
            spawn(self._run(), name=self._name)
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
                await self._answer(group)
        finally:
            self._runs = False
            for _, answer in self._waiting:
                answer.cancel()
            self._waiting.clear()

    async def _answer(self, group: list[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        found: Sequence[Answer | Exception]
        try:
            found = await self._work([item for item, _ in group])
        except Exception as error:
            found = [error] * len(group)
        except BaseException:
            for _, answer in group:
                answer.cancel()
            raise
        for (_, answer), each in zip(group, found, strict=True):
            if answer.done():
                continue  # its caller is gone
            if isinstance(each, Exception):
                answer.set_exception(each)
            else:
                answer.set_result(each)

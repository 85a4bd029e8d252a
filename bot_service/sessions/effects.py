"""Carries out what ``advance`` decided, on the engine: in order per session, bounded over all, always with an end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from bot_service.domain.ports import EnginePool
from bot_service.domain.session_record import EffectKind, SessionRecord, Signal
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import LIVE, Wanted
from bot_service.engines.port import EngineError
from bot_service.sessions.leases import Leases
from shared import logs
from shared.cooperative import SharedCooperativeLoop
from shared.tasks import spawn

log = logs.get(__name__)

STARTS = frozenset({EffectKind.START, EffectKind.REBUILD})
STOP_TIMEOUT_S = 30.0


class Told(Protocol):
    """The supervisor, as the hands see it."""

    def signal(self, session: str, signal: Signal) -> None: ...

    def record(self, session: str) -> SessionRecord | None: ...

    def is_canary(self, session: str) -> bool: ...

    def version_is_refused(self, session: str) -> None: ...


class EffectRunner:
    """One short task per session that has work; none for sessions at rest."""

    def __init__(
        self, pool: EnginePool, leases: Leases, *, concurrency: int, start_timeout_s: float, proxy: str | None
    ) -> None:
        self._pool, self._leases, self._proxy = pool, leases, proxy
        self._start_timeout_s = start_timeout_s
        self._gate = asyncio.Semaphore(concurrency)
        self._breath = SharedCooperativeLoop()
        self._queues: dict[str, deque[EffectKind]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._floor: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self.tried: Callable[[str], None] = lambda session: None

    def fresh(self, session: str, incarnation: int) -> bool:
        """Whether a signal of ``incarnation`` is of the client that runs now, and not of one that was stopped."""
        if incarnation <= self._floor.get(session, -1) or incarnation < self._newest.get(session, -1):
            return False
        self._newest[session] = incarnation
        return True

    def forget(self, session: str) -> None:
        self._floor.pop(session, None)
        self._newest.pop(session, None)

    def may_recycle(self, session: str) -> bool:
        """Whether the budget of the session's worker allows to replace it."""
        return self._pool.may_recycle_worker_of(session)

    def do(self, told: Told, session: str, kind: EffectKind) -> None:
        """Returns at once. A stop or start that was not begun is replaced by a newer one."""
        queue = self._queues.setdefault(session, deque())
        if kind is EffectKind.STOP or kind in STARTS:
            # A start stops what runs before it begins: only the newest wish counts.
            queue = self._queues[session] = deque(item for item in queue if item is EffectKind.RECYCLE_WORKER)
        queue.append(kind)
        if session not in self._tasks:
            self._tasks[session] = spawn(self._work(told, session), name=f"engine:{session}")

    async def idle(self, session: str) -> None:
        """Returns when nothing is left to do for ``session``."""
        task = self._tasks.get(session)
        if task is not None:
            await asyncio.shield(task)

    async def close(self) -> None:
        """Stop carrying out. What the engine holds stays as it is."""
        self._queues.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, told: Told, session: str) -> None:
        try:
            while self._queues.get(session):
                kind = self._queues[session].popleft()
                await self._carry_out(told, session, kind)
        finally:
            self._queues.pop(session, None)
            self._tasks.pop(session, None)

    async def _carry_out(self, told: Told, session: str, kind: EffectKind) -> None:
        if kind is EffectKind.STOP:
            await self._attempt(session, "stop", self._stop(session))
        elif kind is EffectKind.RECYCLE_WORKER:
            self._floor[session] = self._newest.get(session, -1)
            failed = await self._attempt(session, "recycle", self._pool.recycle_worker_of(session))
            if failed is not None:
                told.signal(session, Signal(SignalKind.CONNECT_ERROR, {"reason": failed.code}))
        else:
            async with self._gate:
                # What an adopted worker kept running is claimed without a wait: hundreds of these must not be one turn.
                await self._breath.turn()
                await self._start(told, session, kind)
            self.tried(session)

    async def _start(self, told: Told, session: str, kind: EffectKind) -> None:
        record = told.record(session)
        if record is None or record.wanted is not Wanted.RUN or record.state not in LIVE:
            return  # the wish has changed while this start waited for its turn
        if not await self._leases.hold(session):
            told.signal(session, Signal(SignalKind.REPLACED, lease_ours=False))
            return
        if record.reason != "restored":
            # A client that an adopted worker has kept running is found again by its start; every other one ends first.
            await self._attempt(session, "stop", self._stop(session))
        if kind is EffectKind.REBUILD:
            await self._attempt(session, "move", self._pool.move_session(session))
        try:
            async with asyncio.timeout(self._start_timeout_s):
                incarnation = await self._pool.start_session(
                    session, jid=record.jid, proxy=self._proxy, canary=told.is_canary(session)
                )
            self._floor[session] = max(self._floor.get(session, -1), incarnation - 1)
        except TimeoutError:
            told.signal(session, Signal(SignalKind.START_TIMEOUT))
        except EngineError as error:
            if error.code == "outdated":
                told.version_is_refused(session)
                return
            late = error.code == "timeout"
            told.signal(
                session,
                Signal(
                    SignalKind.START_TIMEOUT if late else SignalKind.CONNECT_ERROR,
                    {"reason": f"{error.code}: {error.detail}"},
                ),
            )

    async def _stop(self, session: str) -> None:
        self._floor[session] = self._newest.get(session, -1)
        await self._pool.stop_session(session)

    async def _attempt(self, session: str, what: str, work: Awaitable[None]) -> EngineError | None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await work
        except TimeoutError:
            return self._failed(session, what, EngineError("timeout", f"{what} took too long"))
        except EngineError as error:
            return self._failed(session, what, error)
        return None

    @staticmethod
    def _failed(session: str, what: str, error: EngineError) -> EngineError:
        log.warning(
            f"The engine did not {what} a session: {error.detail}",
            event_name="engine.refused",
            session=session,
            code=error.code,
        )
        return error

"""Carries out effects on the engine: in order per session, bounded in number and time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from bot_service.domain.ports import SessionLifecycle
from bot_service.domain.reasons import Reason
from bot_service.domain.session_record import EffectKind, SessionRecord, Signal
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import LIVE, Wanted
from bot_service.engines.port import EngineError
from bot_service.sessions.leases import Leases
from shared import logs
from shared.cooperative import SharedCooperativeLoop
from shared.hooks import Hook
from shared.tasks import spawn

log = logs.get(__name__)

STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class StartLimits:
    """``concurrency`` starts at the same time, ``timeout_s`` seconds each, through ``proxy`` unless the
    session has its own."""

    concurrency: int
    timeout_s: float
    proxy: str | None


class Sessions(Protocol):
    """What the supervisor answers and takes."""

    def record(self, session: str) -> SessionRecord | None: ...

    def is_canary(self, session: str) -> bool: ...

    def signal(self, session: str, signal: Signal) -> None: ...

    def start_refused(self, session: str) -> None: ...


class EffectRunner:
    """One short task per session that has work; none for sessions at rest.

    ``started(session)`` is called after every try to start a session.
    """

    def __init__(self, pool: SessionLifecycle, leases: Leases, sessions: Sessions, limits: StartLimits) -> None:
        self._pool, self._leases, self._sessions, self._limits = pool, leases, sessions, limits
        self._starts = asyncio.Semaphore(limits.concurrency)
        self._slices = SharedCooperativeLoop()
        self._queues: dict[str, deque[EffectKind]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self.started: Hook[[str]] = Hook()

    def is_current(self, session: str, incarnation: int) -> bool:
        """Whether ``incarnation`` is the client that runs now, and not one that was stopped."""
        if incarnation <= self._ended.get(session, -1) or incarnation < self._newest.get(session, -1):
            return False
        self._newest[session] = incarnation
        return True

    def forget(self, session: str) -> None:
        self._ended.pop(session, None)
        self._newest.pop(session, None)

    def may_recycle(self, session: str) -> bool:
        """Whether the session's worker may be replaced."""
        return self._pool.may_recycle_worker_of(session)

    def run(self, session: str, kind: EffectKind) -> None:
        """Returns at once. A newer stop or start replaces one that has not begun."""
        queue = self._queues.setdefault(session, deque())
        if kind is not EffectKind.RECYCLE_WORKER:
            # A start first stops the running client, so only the newest of these counts.
            queue = self._queues[session] = deque(item for item in queue if item is EffectKind.RECYCLE_WORKER)
        queue.append(kind)
        if session not in self._tasks:
            self._tasks[session] = spawn(self._work(session), name=f"engine:{session}")

    def busy(self, session: str) -> bool:
        """Whether something is left to do for ``session``."""
        return session in self._tasks

    async def idle(self, session: str) -> None:
        """Returns when nothing is left to do for ``session``."""
        task = self._tasks.get(session)
        if task is not None:
            await asyncio.shield(task)

    async def close(self) -> None:
        """Stops carrying out. Running clients stay as they are."""
        self._queues.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, session: str) -> None:
        try:
            while self._queues.get(session):
                kind = self._queues[session].popleft()
                if kind is EffectKind.STOP:
                    await self._stop(session)
                elif kind is EffectKind.RECYCLE_WORKER:
                    await self._recycle_worker(session)
                else:
                    async with self._starts:
                        # Claiming what an adopted worker kept running never waits: hundreds of
                        # claims must not share one turn of the loop.
                        await self._slices.turn()
                        await self._start(session, kind)
                    self.started(session)
        finally:
            self._queues.pop(session, None)
            self._tasks.pop(session, None)

    async def _recycle_worker(self, session: str) -> None:
        self._ended[session] = self._newest.get(session, -1)
        failed = await self._attempt(session, "recycle", self._pool.recycle_worker_of(session))
        if failed is not None:
            self._sessions.signal(session, Signal(SignalKind.CONNECT_ERROR, {"reason": failed.code}))

    async def _start(self, session: str, kind: EffectKind) -> None:
        record = self._sessions.record(session)
        if record is None or record.wanted is not Wanted.RUN or record.state not in LIVE:
            return  # stopped while this start waited for its turn
        if not await self._leases.hold(session):
            self._sessions.signal(session, Signal(SignalKind.REPLACED, lease_held=False))
            return
        if record.reason != Reason.RESTORED:
            # A restored start claims the client that an adopted worker kept running. Others end it
            # first.
            await self._stop(session)
        if kind is EffectKind.REBUILD:
            await self._attempt(session, "move", self._pool.move_session(session))
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                incarnation = await self._pool.start_session(
                    session,
                    jid=record.jid,
                    proxy=record.proxy.url if record.proxy is not None else self._limits.proxy,
                    creation=record.creation,
                    canary=self._sessions.is_canary(session),
                )
            self._ended[session] = max(self._ended.get(session, -1), incarnation - 1)
        except TimeoutError:
            self._sessions.signal(session, Signal(SignalKind.START_TIMEOUT))
        except EngineError as error:
            if error.code == "outdated":
                self._sessions.start_refused(session)
                return
            late = error.code == "timeout"
            signal = SignalKind.START_TIMEOUT if late else SignalKind.CONNECT_ERROR
            self._sessions.signal(session, Signal(signal, {"reason": f"{error.code}: {error.detail}"}))

    async def _stop(self, session: str) -> None:
        self._ended[session] = self._newest.get(session, -1)
        await self._attempt(session, "stop", self._pool.stop_session(session))

    async def _attempt(self, session: str, what: str, work: Awaitable[None]) -> EngineError | None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await work
        except TimeoutError:
            failed = EngineError("timeout", f"{what} took too long")
        except EngineError as error:
            failed = error
        else:
            return None
        log.warning(
            f"The engine did not {what} a session: {failed.detail}",
            event_name="engine.refused",
            session=session,
            code=failed.code,
        )
        return failed

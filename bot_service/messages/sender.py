"""Sends queued messages: in order per session, within its rate, not while it is frozen.

A message leaves the queue only after the engine reports that the server has it. After a crash in
between it is sent again under the same id, so WhatsApp and the phones see one message.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

import msgspec

from bot_service.domain.message import OutgoingMessage
from bot_service.domain.ports import EnginePool
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LINKED
from bot_service.engines.port import EngineError
from bot_service.events.publisher import EventPublisher
from bot_service.messages.rate_limits import Bucket, Rate, frozen
from bot_service.messages.send_results import SendResults
from bot_service.store import send_queue
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.send_queue import QueuedMessage
from shared import logs
from shared.clock import Clock, to_ms
from shared.hooks import Hook
from shared.retry import full_jitter
from shared.service_clock import steady
from shared.tasks import TaskSet
from shared.wake import Wake

log = logs.get(__name__)

_DECODER = msgspec.json.Decoder(OutgoingMessage)
_FETCH = 50
_WAITING_CHATS = 500
_TIMEOUTS_OF_ONE_CHAT = 3
# How often a session is checked that is not connected, in case its return is not notified.
_LOOK_AGAIN_S = 30.0
_REST_S = 0.02


@dataclass(frozen=True, slots=True)
class SenderPolicy:
    """A message fails after it waited ``expire_ms``. Retries wait ``first_s`` to ``cap_s``."""

    all_messages: Rate
    new_chats: Rate
    expire_ms: int
    first_s: float = 1.0
    cap_s: float = 60.0


@dataclass(slots=True)
class _Lane:
    """The sending of one session. ``failures`` counts failed calls of the engine in a row.

    While ``complete``, ``fresh`` holds all that was accepted since the store was read, or since
    nothing waited: the store need not be read again.
    """

    session: str
    all_messages: Bucket
    new_chats: Bucket
    queued: Wake
    changed: Wake
    has_work: bool = True
    failures: int = 0
    complete: bool = False
    fresh: deque[QueuedMessage] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Wait:
    """A message has to wait ``wait_s`` seconds, alone or with its whole session."""

    whole_session: bool
    wait_s: float


@dataclass(slots=True)
class _Waits:
    """What waits after a turn: the ``whole`` session, or messages to ``chats``, for ``next_s`` seconds.

    Messages of one chat keep their order, so later ones of a chat that waits wait too.
    """

    whole: _Wait | None = None
    chats: set[str] = field(default_factory=set)
    next_s: float = math.inf

    def add(self, row: QueuedMessage, wait: _Wait | None) -> None:
        """``row`` has to wait, or was sent if ``wait`` is None."""
        if wait is None:
            return
        if wait.whole_session:
            self.whole = wait
        else:
            self.chats.add(row.chat)
            self.next_s = min(self.next_s, wait.wait_s)


class Sender:
    """One task per session that has messages to send; it ends when none is left.

    ``on_sent(session, chat)`` is called after each message. Only what ``runs_here(session)`` is sent.
    With ``shared`` other replicas accept messages too, so the store is read for each.
    ``with_file(message)`` puts a message's file where workers find it, for the block.
    """

    def __init__(
        self,
        clock: Clock,
        database: Database,
        publisher: EventPublisher,
        pool: EnginePool,
        policy: SenderPolicy,
        *,
        record_of: Callable[[str], SessionRecord | None],
        on_sent: Callable[[str, str], None] = lambda _session, _chat: None,
        pick: Callable[[], float] = random.random,
        runs_here: Callable[[str], bool] = lambda _session: True,
        with_file: Callable[[OutgoingMessage], AbstractAsyncContextManager[OutgoingMessage]] = nullcontext,
        shared: bool = False,
    ) -> None:
        self._shared = shared
        self._clock, self._database, self._pool = clock, database, pool
        self._runs_here, self._with_file = runs_here, with_file
        self._policy, self._record_of, self._pick = policy, record_of, pick
        self._on_sent = on_sent
        self.ended: Hook[[str, str, str]] = Hook()
        """(session, message id, ``sent`` or ``failed``) of each message, before it is stored."""
        self._tasks = TaskSet()
        self._lanes: dict[str, _Lane] = {}
        self._buckets: dict[str, tuple[Bucket, Bucket]] = {}
        # Sessions with a call of the engine under way.
        self._calling: set[str] = set()
        # Sessions of which nothing waits in the store.
        self._drained: set[str] = set()
        self.results = SendResults(clock, database, publisher, record_of)

    async def run(self) -> None:
        """The loop: starts with messages of an earlier run, then writes results."""
        await self.look()
        await self.results.writer.run()

    async def look(self) -> None:
        """Find sessions with messages that wait; replicas also when they got sessions, or others accepted some."""
        async with self._database.read() as connection:
            waiting = await send_queue.sessions_waiting(connection)
        for session in waiting:
            self.wake(session)

    def wake(self, session: str, message: QueuedMessage | None = None) -> None:
        """Look now: ``message`` was queued and is committed; None: messages that may wait in the store.

        The owner sends what belongs to a session of another replica.
        """
        if not self._runs_here(session):
            return
        if self._shared:
            message = None
        lane = self._lanes.get(session)
        if lane is not None:
            lane.has_work = True
            if message is None:
                lane.complete = False
            elif lane.complete:
                lane.fresh.append(message)
            lane.queued.set()
            return
        if session not in self._buckets:
            self._buckets[session] = Bucket(self._policy.all_messages), Bucket(self._policy.new_chats)
        lane = _Lane(session, *self._buckets[session], Wake(self._clock), Wake(self._clock))
        if message is not None and session in self._drained:
            lane.complete = True
            lane.fresh.append(message)
        self._drained.discard(session)
        self._lanes[session] = lane
        self._tasks.start(self._work(lane), name="send-lane")

    def session_changed(self, session: str) -> None:
        """Look now if messages of this session wait."""
        lane = self._lanes.get(session)
        if lane is not None:
            lane.has_work = True
            lane.failures = 0
            lane.changed.set()
            lane.queued.set()

    def forget(self, session: str) -> None:
        """The session is deleted."""
        self._buckets.pop(session, None)
        self._drained.discard(session)
        self.session_changed(session)

    async def rest(self, session: str) -> None:
        """Returns when no message of ``session``, which may not send any more, is under way and all results are stored."""
        while session in self._calling:
            await self._clock.sleep(_REST_S)
        await self.results.stored()

    async def leave(self, sessions: Collection[str]) -> None:
        """:meth:`rest` of sessions that go to another replica; their clients end."""
        for session in sessions:
            self.session_changed(session)
        await asyncio.gather(*(self.rest(session) for session in self._calling.intersection(sessions)))
        await self.results.stored()

    async def close(self) -> None:
        """Stop sending and store the last results; :meth:`run` has ended before."""
        await self._tasks.close()
        await self.results.writer.flush()

    async def _work(self, lane: _Lane) -> None:
        try:
            while lane.has_work:
                lane.has_work = False
                wait = await self._turn(lane)
                if wait is not None:
                    # One more message does not end the wait of a whole session.
                    await (lane.changed if wait.whole_session else lane.queued).wait(wait.wait_s)
                    lane.has_work = True
            if not self._shared:
                self._drained.add(lane.session)
        finally:
            del self._lanes[lane.session]

    async def _turn(self, lane: _Lane) -> _Wait | None:
        """Send what may go, oldest first. Returns how long to wait, None when no message waits here."""
        if not self._runs_here(lane.session):
            lane.complete = False
            return None
        waits = _Waits()
        handled: set[str] = set()
        if not lane.complete:
            # From here on ``fresh`` takes what is accepted; what is read as well is in ``handled``.
            lane.complete = True
            lane.fresh.clear()
            await self._send_stored(lane, waits, handled)
        while lane.fresh and waits.whole is None and len(waits.chats) < _WAITING_CHATS:
            row = lane.fresh.popleft()
            # One that was read from the store and sent may be announced only now.
            known = row.position in handled or row.position in self.results.unsaved
            if not known and row.chat not in waits.chats:
                waits.add(row, await self._send(lane, row))
        if waits.whole is not None or waits.chats:
            # What waits is read again, in its order.
            lane.complete = False
            lane.fresh.clear()
        return waits.whole or (_Wait(False, waits.next_s) if waits.chats else None)

    async def _send_stored(self, lane: _Lane, waits: _Waits, handled: set[str]) -> None:
        after, more = "", True
        while more and len(waits.chats) < _WAITING_CHATS and self._runs_here(lane.session):
            # A result that is stored during the read may be missing in what it finds.
            before = frozenset(self.results.unsaved)
            try:
                async with self._database.read() as connection:
                    rows = await send_queue.waiting(
                        connection, lane.session, after=after, limit=_FETCH, without_chats=waits.chats
                    )
            except STORE_ERRORS:
                waits.whole = _Wait(True, 1.0)
                return
            more = len(rows) == _FETCH
            for row in rows:
                after = row.position
                handled.add(row.position)
                if row.chat in waits.chats or row.position in before or row.position in self.results.unsaved:
                    continue
                waits.add(row, await self._send(lane, row))
                if waits.whole is not None:
                    return

    async def _send(self, lane: _Lane, row: QueuedMessage) -> _Wait | None:
        """Send one message, or return how long it has to wait."""
        now_ms = to_ms(self._clock.now())
        if not self._runs_here(lane.session):
            return _Wait(True, _LOOK_AGAIN_S)
        record = self._record_of(lane.session)
        expired = now_ms - row.queued_ms >= self._policy.expire_ms and steady(self._clock)
        if record is None or expired:
            await self._end(row, "failed", "session_deleted" if record is None else "expired", now_ms)
            return None
        freeze = frozen(record, now_ms, known_chat=row.known_chat)
        if freeze is not None:
            return _Wait(frozen(record, now_ms, known_chat=True) is not None, _until(freeze.until_ms, now_ms))
        if record.state not in LINKED:
            return _Wait(True, _LOOK_AGAIN_S)
        wait_s = lane.all_messages.wait_s(self._clock.monotonic())
        if wait_s > 0:
            return _Wait(True, wait_s)
        if row.new_chat:
            wait_s = lane.new_chats.wait_s(self._clock.monotonic())
            if wait_s > 0:
                return _Wait(False, wait_s)
            lane.new_chats.take()
        lane.all_messages.take()
        self._calling.add(lane.session)
        try:
            message = _DECODER.decode(row.body)
            async with nullcontext(message) if message.media is None else self._with_file(message) as ready:
                sent = await self._pool.send(lane.session, ready)
        except EngineError as error:
            return await self._failed(lane, row, error)
        finally:
            self._calling.discard(lane.session)
        lane.failures = 0
        self._on_sent(lane.session, row.chat)
        await self._end(row, "sent", None, sent.at_ms)
        return None

    async def _failed(self, lane: _Lane, row: QueuedMessage, error: EngineError) -> _Wait | None:
        now_ms = to_ms(self._clock.now())
        if error.code == "timelocked":
            # The signal that follows freezes new chats, this one among them.
            return await self._postpone(row, error.code, _Wait(False, 60.0), now_ms)
        if error.retryable or error.code in ("not_started", "not_connected", "timeout"):
            policy = self._policy
            wait_s = full_jitter(lane.failures, first_s=policy.first_s, cap_s=policy.cap_s, pick=self._pick)
            lane.failures += 1
            # Repeated timeouts while the session is connected are a problem of one chat.
            whole_session = error.code != "timeout" or row.attempts < _TIMEOUTS_OF_ONE_CHAT
            return await self._postpone(row, error.code, _Wait(whole_session, 0.1 + wait_s), now_ms)
        log.warning("A message was refused", event_name="send.refused", session=lane.session, error=error.code)
        await self._end(row, "failed", f"{error.code}: {error.detail}"[:300], now_ms)
        return None

    async def _end(self, row: QueuedMessage, state: str, error: str | None, at_ms: int) -> None:
        self.ended(row.session, row.message_id, state)
        await self.results.end(row, state, error, at_ms)

    async def _postpone(self, row: QueuedMessage, error: str, wait: _Wait, now_ms: int) -> _Wait:
        await self.results.postpone(row, error, now_ms + int(wait.wait_s * 1000))
        return wait


def _until(until_ms: int | None, now_ms: int) -> float:
    return _LOOK_AGAIN_S if until_ms is None else min(max(0.05, (until_ms - now_ms) / 1000), 3600.0)

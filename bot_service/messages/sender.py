"""Sends what is queued: per session in order, within its rate, never while it is frozen, until the server took it.

A message is removed from the queue only after the engine said that the server has it. After a crash in between it is sent
again under the same id, which WhatsApp and the phones take for the same message.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from bot_service.domain.message import OutgoingMessage, Sent
from bot_service.domain.ports import EnginePool
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LINKED
from bot_service.engines.port import EngineError
from bot_service.events.publisher import Draft, EventPublisher
from bot_service.messages.inbound import status_draft
from bot_service.messages.rate_limits import SendLimits, SendPolicy, frozen
from bot_service.store import messages, send_queue
from bot_service.store.batch_writer import STORE_ERRORS, BatchWriter
from bot_service.store.database import Database
from bot_service.store.send_queue import Queued
from bot_service.webhooks.lane_tasks import LaneTasks
from shared import logs
from shared.clock import Clock, from_ms, to_ms
from shared.retry import full_jitter
from shared.wake import Wake

log = logs.get(__name__)

_DECODER = msgspec.json.Decoder(OutgoingMessage)
_FETCH = 50
_HELD_CHATS = 500
_TIMEOUTS_OF_ONE_CHAT = 3
# A session that is not connected is looked at again so often, should its return go unnoticed.
_LOOK_AGAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class SenderPolicy:
    """``expire_ms``: a message that waited so long has failed. ``timeout_s`` holds for one call of the engine."""

    limits: SendPolicy
    expire_ms: int
    first_s: float = 1.0
    cap_s: float = 60.0


@dataclass(slots=True)
class _Lane:
    """One session's sending. ``retry`` counts calls of the engine that failed in a row."""

    session: str
    limits: SendLimits
    wake: Wake
    poked: bool = True
    retry: int = 0


@dataclass(frozen=True, slots=True)
class _Stop:
    """A message has to wait ``wait_s`` seconds, alone or with everything of its session."""

    whole_session: bool
    wait_s: float


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The end of one message in the queue, or its postponement."""

    queued: Queued
    state: str | None
    error: str | None
    at_ms: int


class Sender:
    """One task per session that has something to send; it ends when nothing is left."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        announcer: EventPublisher,
        pool: EnginePool,
        policy: SenderPolicy,
        *,
        record_of: Callable[[str], SessionRecord | None],
        on_sent: Callable[[str, str], None] = lambda _session, _chat: None,
        observe: Callable[[str], None] = lambda _state: None,
        pick: Callable[[], float] = random.random,
    ) -> None:
        self._clock, self._database, self._announcer, self._pool = clock, database, announcer, pool
        self._policy, self._record_of, self._pick = policy, record_of, pick
        self._on_sent, self._observe = on_sent, observe
        self._tasks = LaneTasks()
        self._lanes: dict[str, _Lane] = {}
        self._limits: dict[str, SendLimits] = {}
        # Positions whose end is known and not stored yet: never to be sent again.
        self._unsaved: set[str] = set()
        self._outcomes: BatchWriter[_Outcome] = BatchWriter("send-results", clock, self._write)

    async def run(self) -> None:
        """The loop: begins with what an earlier run left queued, then writes results."""
        async with self._database.read() as connection:
            waiting = await send_queue.sessions_waiting(connection)
        for session in waiting:
            self.wake(session)
        await self._outcomes.run()

    def wake(self, session: str) -> None:
        """Something was queued, or the session changed: look now."""
        lane = self._lanes.get(session)
        if lane is not None:
            lane.poked = True
            lane.retry = 0
            lane.wake.set()
            return
        limits = self._limits.setdefault(session, SendLimits(self._policy.limits))
        lane = self._lanes[session] = _Lane(session, limits, Wake(self._clock))
        self._tasks.start(self._work(lane), name="send-lane")

    def poke(self, session: str) -> None:
        """The session changed: what waits for it may go now."""
        if session in self._lanes:
            self.wake(session)

    def forget(self, session: str) -> None:
        """The session is gone."""
        self._limits.pop(session, None)
        lane = self._lanes.get(session)
        if lane is not None:
            lane.wake.set()

    async def idle(self) -> None:
        """Return once every result so far is stored."""
        await self._outcomes.idle()

    async def close(self) -> None:
        """Stop sending and store what is known; :meth:`run` has ended before."""
        await self._tasks.close()
        await self._outcomes.flush()

    async def _work(self, lane: _Lane) -> None:
        try:
            while lane.poked:
                lane.poked = False
                wait_s = await self._turn(lane)
                if wait_s is not None:
                    await lane.wake.wait(wait_s)
                    lane.poked = True
        finally:
            del self._lanes[lane.session]

    async def _turn(self, lane: _Lane) -> float | None:
        """Send what may go now, oldest first; seconds to wait before the next look, None when nothing waits."""
        held: set[str] = set()
        after, next_s = "", None
        while len(held) < _HELD_CHATS:
            try:
                async with self._database.read() as connection:
                    rows = await send_queue.waiting(
                        connection, lane.session, after=after, limit=_FETCH, without_chats=held
                    )
            except STORE_ERRORS:
                return 1.0
            if not rows:
                break
            for row in rows:
                after = row.position
                if row.chat in held or row.position in self._unsaved:
                    continue
                stop = await self._send(lane, row)
                if stop is None:
                    continue
                if stop.whole_session:
                    return stop.wait_s
                # Messages of one chat keep their order: what follows in this chat waits too.
                held.add(row.chat)
                next_s = stop.wait_s if next_s is None else min(next_s, stop.wait_s)
        return next_s

    async def _send(self, lane: _Lane, row: Queued) -> _Stop | None:
        """One message on its way, or why it has to wait."""
        now_ms = to_ms(self._clock.now())
        record = self._record_of(lane.session)
        if record is None or now_ms - row.queued_ms >= self._policy.expire_ms:
            await self._end(row, "failed", "session_deleted" if record is None else "expired", now_ms)
            return None
        stop = frozen(record, now_ms, known_chat=row.known_chat)
        if stop is not None:
            return _Stop(frozen(record, now_ms, known_chat=True) is not None, _until(stop.until_ms, now_ms))
        if record.state not in LINKED:
            return _Stop(True, _LOOK_AGAIN_S)
        wait_s = lane.limits.wait_s(self._clock.monotonic())
        if wait_s > 0:
            return _Stop(True, wait_s)
        wait_s = lane.limits.new_chat_wait_s(self._clock.monotonic()) if row.new_chat else 0.0
        if wait_s > 0:
            return _Stop(False, wait_s)
        lane.limits.take(new_chat=row.new_chat)
        return await self._call(lane, row)

    async def _call(self, lane: _Lane, row: Queued) -> _Stop | None:
        try:
            sent: Sent = await self._pool.send(lane.session, _DECODER.decode(row.body))
        except EngineError as error:
            return await self._failed(lane, row, error)
        lane.retry = 0
        self._on_sent(lane.session, row.chat)
        await self._end(row, "sent", None, sent.at_ms)
        return None

    async def _failed(self, lane: _Lane, row: Queued, error: EngineError) -> _Stop | None:
        now_ms = to_ms(self._clock.now())
        if error.code == "timelocked":
            # The signal that follows freezes new chats; this one waits like them.
            await self._end(row, None, error.code, now_ms + 60_000)
            return _Stop(False, 60.0)
        if error.retryable or error.code in ("not_started", "not_connected", "timeout"):
            wait_s = 0.1 + full_jitter(
                lane.retry, first_s=self._policy.first_s, cap_s=self._policy.cap_s, pick=self._pick
            )
            lane.retry += 1
            await self._end(row, None, error.code, now_ms + int(wait_s * 1000))
            # A call that times out again and again while the session is connected is the trouble of one chat.
            return _Stop(error.code != "timeout" or row.attempts < _TIMEOUTS_OF_ONE_CHAT, wait_s)
        log.warning("A message was refused", event_name="send.refused", session=lane.session, error=error.code)
        await self._end(row, "failed", f"{error.code}: {error.detail}"[:300], now_ms)
        return None

    async def _end(self, row: Queued, state: str | None, error: str | None, at_ms: int) -> None:
        if state is not None:
            self._observe(state)
            self._unsaved.add(row.position)
        await self._outcomes.put(_Outcome(row, state, error, at_ms))

    async def _write(self, outcomes: list[_Outcome]) -> None:
        ended = [outcome for outcome in outcomes if outcome.state is not None]
        drafts: list[Draft] = []
        async with self._database.write() as connection:
            await send_queue.postpone(
                connection,
                [
                    {"p": item.queued.position, "n": item.at_ms, "a": item.queued.attempts + 1, "e": item.error}
                    for item in outcomes
                    if item.state is None
                ],
            )
            for item in ended:
                queued, state = item.queued, item.state or ""
                moved = await messages.set_sent_state(
                    connection, queued.session, [queued.message_id], state, to_ms(self._clock.now()), item.error
                )
                record = self._record_of(queued.session)
                owner = record.owner if record is not None else None
                drafts.extend(
                    status_draft(queued.session, owner, chat, message_id, state, from_ms(item.at_ms), item.error)
                    for chat, message_id in moved
                )
            await send_queue.remove(connection, [item.queued.position for item in ended])
            await self._announcer.stage(connection, drafts)
        self._unsaved.difference_update(item.queued.position for item in ended)


def _until(until_ms: int | None, now_ms: int) -> float:
    return _LOOK_AGAIN_S if until_ms is None else min(max(0.05, (until_ms - now_ms) / 1000), 3600.0)

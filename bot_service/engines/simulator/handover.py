"""Delivers what the simulated server holds for a phone, in order, until it is journaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from bot_service.engines.simulator.store import Held
from shared import logs

if TYPE_CHECKING:
    from bot_service.engines.simulator.session import SimulatedSession

log = logs.get(__name__)

DELIVERIES_PER_TURN = 50


def hold(session: SimulatedSession, messages: list[Held]) -> None:
    """The server takes ``messages``; they are delivered when they are due and the link is up."""
    try:
        session.queue.hold(messages)
    except OSError as error:
        raise EngineError("internal", f"the simulated server cannot keep the message: {error}") from error
    pump(session)


def pump(session: SimulatedSession) -> None:
    """Delivers what is due. A message that the worker cannot journal is offered again."""
    if not session.receives:
        return
    slow = session.condition("slow")
    for _ in range(1 if slow else DELIVERIES_PER_TURN):
        first = session.queue.first
        wait_ms = 0 if first is None else first.wait_ms(session.world.now_ms())
        if first is None or wait_ms > 0:
            if session.syncing is not None:
                count, session.syncing = session.syncing, None
                session.report(SignalKind.OFFLINE_SYNC_COMPLETED, count=count)
            if first is not None:
                _pump_in(session, wait_ms)
            return
        if not _deliver(session, first):
            _pump_in(session, session.world.options.retry_ms)
            return
    _pump_in(session, slow["ms"] if slow else 0)


def _pump_in(session: SimulatedSession, delay_ms: float) -> None:
    # One timer is enough, however many messages are held.
    at = session.world.clock.monotonic() + delay_ms / 1000
    if session.pump_at is None or at < session.pump_at:
        session.pump_at = at
        session.later(delay_ms, lambda: _pump_now(session))


def _pump_now(session: SimulatedSession) -> None:
    if session.pump_at is not None and session.pump_at <= session.world.clock.monotonic():
        session.pump_at = None
        pump(session)


def _deliver(session: SimulatedSession, held: Held) -> bool:
    try:
        session.world.sink.inbound(held.message)
    except EngineError as error:
        log.warning("A message waits at the server", event_name="simulator.unacknowledged", reason=error.detail)
        return False
    try:
        session.queue.acknowledge()
    except OSError as error:
        # Journaled and not acknowledged: it comes again, and the reader drops the duplicate.
        log.warning("A message stays unacknowledged", event_name="simulator.unacknowledged", reason=str(error))
        return False
    session.known_chats.add(held.message.chat)
    session.people[held.message.sender] = held.message.push_name
    if session.syncing is not None:
        session.syncing += 1
    return True

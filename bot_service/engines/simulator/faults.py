"""Faults of the link between a session and the server, and their end."""

from __future__ import annotations

import os
from typing import Any

from bot_service.domain.signals import SignalKind
from bot_service.engines.simulator.arguments import Arguments
from bot_service.engines.simulator.session import Link, SimulatedSession
from bot_service.engines.simulator.world import jid_of


def drop(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """The socket closes; the engine reconnects by itself."""
    reason = args.text("reason", "websocket closed") or ""
    args.end()
    was = session.link
    if was in (Link.ONLINE, Link.HALF):
        session.lose_link(reason)
    return {"link": was.value}


def offline(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """No route to the server for ``seconds``; what is sent to this phone waits there."""
    until_ms = session.world.now_ms() + args.whole("seconds", 60, 0, 30 * 86_400) * 1000
    args.end()
    session.set_condition("offline", untilMs=until_ms)
    if session.link in (Link.ONLINE, Link.HALF):
        session.lose_link("network unreachable")
    return {"untilMs": until_ms}


def silence(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """One-way silence: the link is alive and takes sends, but nothing is delivered.

    ``heals`` is what ends it: a reconnect, another worker process, one started after the fault
    (``fresh``), or only the action ``heal``; ``seconds`` limits it.
    """
    heals = args.choice("heals", "reconnect", "reconnect", "worker", "fresh", "never")
    until_ms = args.until_ms(session.world.now_ms())
    args.end()
    session.set_condition("silence", heals=heals, pid=os.getpid(), atMs=session.world.now_ms(), untilMs=until_ms)
    if until_ms is not None:
        session.later(until_ms - session.world.now_ms() + 1, session.pump)
    return {"heals": heals, "untilMs": until_ms}


def keepalive_timeout(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """Pings are not answered. Without ``seconds`` the engine reconnects after three minutes."""
    until_ms = args.until_ms(session.world.now_ms())
    args.end()
    if session.link is Link.ONLINE and not session.keepalive_dead:
        session.keepalive_dead = True
        _miss(session, 1, session.world.now_ms())
        if until_ms is not None:
            session.later(until_ms - session.world.now_ms(), lambda: _answer(session))
    return {"untilMs": until_ms}


def _miss(session: SimulatedSession, errors: int, last_ms: int) -> None:
    if not session.keepalive_dead:
        return
    options = session.world.options
    session.report(SignalKind.KEEPALIVE_TIMEOUT, errors=errors, lastSuccessMs=last_ms)
    if errors * options.keepalive_ms >= options.keepalive_give_up_ms:
        # As the real library: it reconnects without reporting the lost link.
        session.attempts = 0
        session.reconnect()
    else:
        session.later(options.keepalive_ms, lambda: _miss(session, errors + 1, last_ms))


def _answer(session: SimulatedSession) -> None:
    if session.keepalive_dead:
        session.keepalive_dead = False
        session.world.sink.frame_seen(session.name)
        session.report(SignalKind.KEEPALIVE_RESTORED)
        session.pump()


def server_unavailable(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """The server refuses with 500 or 503 for ``seconds``; the engine keeps trying."""
    code = args.whole("code", 503, 500, 599)
    until_ms = session.world.now_ms() + args.whole("seconds", 10, 0, 30 * 86_400) * 1000
    args.end()
    session.set_condition("unavailable", code=code, untilMs=until_ms)
    if session.link is Link.ONLINE:
        session.report(SignalKind.SERVER_UNAVAILABLE, code=code)
        session.attempts = 0
        session.reconnect()
    return {"untilMs": until_ms}


def stream_error(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """One error of the stream without a known code."""
    signature = args.text("signature", "ack") or ""
    args.end()
    if session.link is Link.ONLINE:
        session.stream_error(signature)
    return {"signature": signature}


def poison(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """A stanza ends the stream ``everySeconds`` after each login, ``times`` or until ``heal``."""
    every_ms = int((args.number("everySeconds", 0.05, 86_400) or 30.0) * 1000)
    signature = args.text("signature", "ack") or ""
    times = args.whole("times", 0, 0, 1_000_000)
    args.end()
    condition: dict[str, Any] = {"everyMs": every_ms, "signature": signature}
    if times:
        condition["times"] = times
    session.set_condition("poison", **condition)
    if session.link is Link.ONLINE:
        session.later(every_ms, session.poisoned)
    return condition


def pump_died(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """The engine's event pump ends: connected, deaf, until the session is started again."""
    reason = args.text("reason", "unmapped enum") or ""
    args.end()
    if session.link is Link.ONLINE:
        session.set_link(Link.DEAF)
        session.report(SignalKind.PUMP_DIED, reason=reason)
    return {"reason": reason}


def slow(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """Every send and every message takes ``ms`` milliseconds, for ``seconds`` or until ``heal``."""
    ms = args.whole("ms", 1000, 1, 600_000)
    until_ms = args.until_ms(session.world.now_ms())
    args.end()
    session.set_condition("slow", ms=ms, untilMs=until_ms)
    return {"ms": ms, "untilMs": until_ms}


def undecryptable(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """A message arrives that cannot be decrypted; the sender is asked to send it again."""
    chat = jid_of(args.text("from") or "4915100000001")
    message_id = args.text("id", "3EB0UNDECRYPTABLE") or ""
    args.end()
    session.world.sink.frame_seen(session.name)
    session.report(SignalKind.UNDECRYPTABLE, chat=chat, messageId=message_id)
    return {"messageId": message_id}


def heal(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """Ends every lasting fault; an ended link stays ended until the next start."""
    args.end()
    ended = sorted(session.phone.conditions)
    if ended:
        session.phone.conditions.clear()
        session.world.files.save_phone(session.name, session.phone)
    _answer(session)
    session.pump()
    return {"ended": ended}

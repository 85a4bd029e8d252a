"""The simulated server takes outgoing messages, sends receipts and delivers to other phones."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from bot_service.domain.addresses import STATUS_CHAT
from bot_service.domain.message import InboundMessage, OutgoingMessage, Receipt, Sent, missing_part
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from bot_service.engines.simulator import handover
from bot_service.engines.simulator.session import Link, SimulatedSession
from bot_service.engines.simulator.store import Held
from bot_service.engines.simulator.world import digits_of, jid_of


async def send(session: SimulatedSession, message: OutgoingMessage) -> Sent:
    """Takes one message. Raises :class:`EngineError` like the real engine."""
    session.require_online()
    if slow := session.condition("slow"):
        await asyncio.sleep(slow["ms"] / 1000)
        session.require_online()
    chat = jid_of(message.to)
    if not digits_of(chat) and chat != STATUS_CHAT:
        raise EngineError("invalid", "the message has no receiver")
    if (missing := missing_part(message)) is not None:
        raise EngineError("invalid", missing)
    if rejected := session.condition("rejectSends"):
        raise EngineError("rejected", f"the server refused the message with {rejected['code']}")
    if (lock := session.condition("timelock")) and chat != STATUS_CHAT and not _knows(session, chat):
        session.report(SignalKind.TIMELOCK, untilMs=lock["untilMs"])
        raise EngineError("timelocked", "new chats are locked for this account (463)")
    sent = Sent(message.id, session.world.now_ms())
    known = _remember(session, message)
    session.world.sink.frame_seen(session.name)
    if not known:
        # A status goes to those who wrote: the contacts of a simulated account.
        for receiver in session.people if chat == STATUS_CHAT else [chat]:
            _deliver(session, receiver, message, sent.at_ms)
    _plan_receipts(session, chat, message.id)
    return sent


def _knows(session: SimulatedSession, chat: str) -> bool:
    return chat in session.known_chats or any(jid_of(message.to) == chat for message in session.sent)


def _remember(session: SimulatedSession, message: OutgoingMessage) -> bool:
    # The same id is the same message, over restarts too: the receiver gets it once.
    if any(earlier.id == message.id for earlier in session.sent):
        return True
    try:
        session.world.files.remember_sent(session.name, message)
    except OSError as error:
        raise EngineError("internal", f"the simulated server cannot keep the message: {error}") from error
    session.sent.append(message)
    return False


def _plan_receipts(session: SimulatedSession, chat: str, message_id: str) -> None:
    if session.condition("silence") or session.link is Link.DEAF:
        return
    options = session.world.options
    session.later(0, lambda: mark(session, chat, [message_id], "server"))
    for kind, delay_ms in (("delivered", options.delivered_ms), ("read", options.read_ms)):
        if session.receipts[kind]:
            session.later(delay_ms, lambda kind=kind: mark(session, chat, [message_id], kind))  # type: ignore[misc]


def mark(session: SimulatedSession, chat: str, message_ids: list[str], kind: str) -> None:
    """A receipt arrives. As with the real server, one that cannot be journaled is lost."""
    if session.link is not Link.ONLINE or session.keepalive_dead or session.condition("silence"):
        return
    try:
        session.world.sink.receipt(Receipt(session.name, chat, message_ids, kind, session.world.now_ms()))
    except EngineError:
        return


def _inbound_from(sender: SimulatedSession, message: OutgoingMessage, receiver: str, at_ms: int) -> InboundMessage:
    """``message`` as the session ``receiver`` gets it."""
    author = jid_of(digits_of(sender.phone.jid or ""))
    same = (
        "type",
        "text",
        "media",
        "latitude",
        "longitude",
        "name",
        "contact_phone",
        "reaction_to",
        "reply_to",
        "mentions",
        "poll",
        "edits",
        "revokes",
        "forwarded",
    )
    plain: dict[str, Any] = {name: getattr(message, name) for name in same}
    return InboundMessage(
        session=receiver,
        chat=STATUS_CHAT if message.to == STATUS_CHAT else author,
        id=message.id,
        sender=author,
        at_ms=at_ms,
        push_name=sender.phone.push_name,
        **plain,
    )


def _deliver(session: SimulatedSession, chat: str, message: OutgoingMessage, at_ms: int) -> None:
    digits = digits_of(chat)
    if digits == digits_of(session.phone.jid or "") or not chat.endswith("@s.whatsapp.net"):
        return
    world = session.world
    near = world.numbers.get(digits)
    receiver = near.name if near is not None else world.files.session_of(digits)
    if receiver is None:
        return
    held = Held(at_ms, _inbound_from(session, message, receiver, at_ms), at_ms)
    if near is not None:
        handover.hold(near, [held])
    else:
        # Its phone is in another worker, or in none: the worker that starts it fetches the letter.
        world.files.put_letter(receiver, message.id, msgspec.msgpack.encode(held))

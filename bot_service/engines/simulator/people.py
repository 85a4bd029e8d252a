"""What people do in the simulated world: scan, type a code, write messages, read them."""

from __future__ import annotations

import base64
from typing import Any, get_args

import msgspec

from bot_service.domain.calls import Call
from bot_service.domain.directory import ChangeMembers, MemberAction
from bot_service.domain.message import InboundMessage, Media, MessageDetails, MessageType
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from bot_service.engines.simulator import channels, directory, handover, pairing, sending
from bot_service.engines.simulator.arguments import Arguments
from bot_service.engines.simulator.session import SimulatedSession
from bot_service.engines.simulator.store import Held
from bot_service.engines.simulator.world import World, digits_of, jid_of

MAX_COUNT = 100_000
DEFAULT_SENDER = "4915100000001"
# A picture of one pixel, an empty page, silence: small files of the right types.
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_PDF = b"%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF\n"
_FILES: dict[str, tuple[str, str, bytes]] = {
    "image": ("image/png", "png", _PNG),
    "sticker": ("image/png", "png", _PNG),
    "document": ("application/pdf", "pdf", _PDF),
    "audio": ("audio/ogg", "ogg", b"OggS\x00\x02" + bytes(21)),
    "video": ("video/mp4", "mp4", b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"),
}

_TYPES_WITH_TEXT = ("text", "image", "document", "audio", "video", "reaction", "edit")


def scan(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """The phone scans the QR code that is shown, or fails in one of the known ways."""
    number, push_name = args.text("phone"), args.text("pushName")
    outcome = args.choice("outcome", "paired", "paired", "noMultidevice", "passkey", "error")
    args.end()
    if outcome == "paired":
        return dict(pairing.scan(session, number=number, push_name=push_name))
    if session.qr_code is None:
        raise EngineError("not_pairing", "no code is shown to scan")
    if outcome == "noMultidevice":
        session.report(SignalKind.MULTIDEVICE_OFF)
    elif outcome == "passkey":
        session.report(SignalKind.PASSKEY_REQUIRED)
    else:
        session.end(SignalKind.PAIR_ERROR, reason="the server refused the pairing")
    return {"outcome": outcome}


def enter_code(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """The person types the pairing code on the phone."""
    code, number = args.needed_text("code"), args.text("phone")
    args.end()
    return dict(pairing.enter_code(session, code, number=number))


def message(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """A person writes ``count`` messages, ``rate`` per second or all at once.

    They are on the server's disk when this returns, and arrive when due and the link is up.
    """
    count = args.whole("count", 1, 1, MAX_COUNT)
    rate = args.number("rate", 0.01, 100_000)
    kind = args.choice("type", "text", *get_args(MessageType))
    make = _Maker(session, args, kind)
    args.end()
    now_ms = session.world.now_ms()
    step_ms = 1000 / rate if rate else 0.0
    held = [Held(due := now_ms + int(index * step_ms), make(index, count, due), now_ms) for index in range(count)]
    handover.hold(session, held)
    return {"accepted": count, "messageIds": [item.message.id for item in held]}


class _Maker:
    """Makes the messages of one action; reads all arguments first."""

    def __init__(self, session: SimulatedSession, args: Arguments, kind: str) -> None:
        self._session = session
        self._sender = jid_of(args.text("from") or DEFAULT_SENDER)
        if not digits_of(self._sender):
            raise EngineError("invalid", "message: from must be a telephone number or a JID")
        group = args.text("group")
        self._chat = self._sender if group is None else (group if "@" in group else f"{group}@g.us")
        self._id = args.text("id")
        self._kind = kind
        self._text = args.text("text", "Hello" if kind in _TYPES_WITH_TEXT else None)
        self._name = args.text("name", "A place" if kind == "location" else None)
        self._push_name = args.text("pushName", "Simulated person")
        self._from_me, self._lid = args.flag("fromMe", False), args.text("lid")
        self._details = args.struct("details", MessageDetails)
        self._reply_to, self._reaction_to = args.text("replyTo"), args.text("reactionTo")
        if kind == "reaction" and self._reaction_to is None:
            raise EngineError("invalid", "message: a reaction needs reactionTo, the id of a message")
        if kind == "reaction" and self._text == "Hello":
            self._text = "\N{THUMBS UP SIGN}"
        self._chance = session.world.random_for(session.name, "message", session.world.clock.now().timestamp())

    def __call__(self, index: int, count: int, at_ms: int) -> InboundMessage:
        plain = self._id if self._id is not None and count == 1 else None
        message_id = plain or f"{self._id or ''}3EB0{self._chance.getrandbits(72):018X}"
        numbered = count > 1 and self._text is not None
        place = (52.52, 13.405) if self._kind == "location" else (None, None)
        return InboundMessage(
            session=self._session.name,
            chat=self._chat,
            id=message_id,
            sender=self._sender,
            at_ms=at_ms,
            type=msgspec.convert(self._kind, MessageType),
            text=f"{self._text} {index + 1}" if numbered else self._text,
            push_name=self._push_name,
            from_me=self._from_me,
            is_group=self._chat.endswith("@g.us"),
            media=_file(self._session.world, self._session.name, message_id, self._kind),
            reply_to=self._reply_to,
            reaction_to=self._reaction_to,
            latitude=place[0],
            longitude=place[1],
            name=self._name,
            contact_phone="4915100000002" if self._kind == "contact" else None,
            lid=self._lid,
            **{name: getattr(self._details, name) for name in MessageDetails.__struct_fields__},
        )


def _file(world: World, session: str, message_id: str, kind: str) -> Media | None:
    if kind not in _FILES:
        return None
    mime_type, ending, content = _FILES[kind]
    media = Media(
        mime_type=mime_type,
        file_name=f"simulated.{ending}" if kind == "document" else None,
        seconds=1 if kind in ("audio", "video") else None,
        voice=kind == "audio",
    )
    return world.media.keep(session, message_id, media, content)


def receipt(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """One receipt for messages that the session sent."""
    chat, ids = jid_of(args.needed_text("chat")), args.texts("messageIds")
    kind = args.choice("type", "read", "server", "delivered", "read", "played", "failed")
    args.end()
    sending.mark(session, chat, ids, kind)
    return {"marked": len(ids)}


def receipts(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """Whether receivers send delivery and read receipts."""
    for kind in ("delivered", "read"):
        session.receipts[kind] = args.flag(kind, session.receipts[kind])
    args.end()
    return dict(session.receipts)


def presence(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """A person comes online or types."""
    sender = jid_of(args.text("from") or DEFAULT_SENDER)
    state = args.choice("state", "available", "available", "unavailable", "composing", "recording", "paused")
    group = args.text("group")
    chat = sender if group is None else (group if "@" in group else f"{group}@g.us")
    args.end()
    session.world.sink.frame_seen(session.name)
    last_seen_ms = session.world.now_ms() if state == "unavailable" else None
    session.report(SignalKind.PRESENCE, **{"chat": chat, "from": sender, "state": state, "lastSeenMs": last_seen_ms})
    return {"state": state}


def call(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """A person calls; it is journaled as the real engine does."""
    caller = jid_of(args.text("from") or DEFAULT_SENDER)
    now_ms = session.world.now_ms()
    chance = session.world.random_for(session.name, "call", session.world.clock.now().timestamp())
    call_id = args.text("id") or f"{chance.getrandbits(64):016X}"
    video, group = args.flag("video", False), args.text("group")
    args.end()
    session.require_online()
    session.world.sink.call(Call(session.name, call_id, caller, now_ms, video, group))
    return {"id": call_id}


def join_request(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """A person asks to be let into a group that the account administers."""
    group, person = args.needed_text("group"), args.text("from") or DEFAULT_SENDER
    args.end()
    directory.request_to_join(session, group, person)
    return {"group": group}


def group_change(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """Another administrator changes a group of the account."""
    group, by = args.needed_text("group"), args.text("from") or DEFAULT_SENDER
    members = args.texts("members") if args.has("members") else []
    action = args.choice("change", "add", *get_args(MemberAction))
    settings: dict[str, Any] = {name: args.text(name) for name in ("subject", "description") if args.has(name)}
    settings |= {name: args.flag(name, False) for name in ("announce", "locked") if args.has(name)}
    args.end()
    wanted = ChangeMembers(group, msgspec.convert(action, MemberAction), members) if members else None
    directory.others_change(session, group, by, wanted, settings)
    return {"group": group}


def open_channel(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """A person makes a channel."""
    owner, name = args.text("from") or DEFAULT_SENDER, args.needed_text("name")
    args.end()
    made = channels.open_channel(session, owner, name)
    return {"id": made.id, "invite": digits_of(made.id)}


def inbox(session: SimulatedSession, args: Arguments) -> dict[str, Any]:
    """What the other side got: the last messages, read receipts and typing state."""
    args.end()
    return {
        "link": session.link.value,
        "jid": session.phone.jid,
        "waiting": len(session.queue),
        "messages": [msgspec.to_builtins(sent) for sent in session.sent],
        "marks": list(session.marks),
        "typing": session.typing_state,
        "presence": session.presence,
        "follows": sorted(session.follows),
        "rejected": list(session.rejected),
        "starred": session.phone.starred,
    }

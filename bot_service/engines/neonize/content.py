"""Translates the content of a WhatsApp message: what it is, and its parts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from bot_service.domain.message import Album, Choice, GroupInvite, Media, MessageType, Poll, PollVote
from bot_service.engines.neonize import vcards

MEDIA_FIELDS: tuple[tuple[str, MessageType], ...] = (
    ("imageMessage", "image"),
    ("ptvMessage", "video"),
    ("videoMessage", "video"),
    ("audioMessage", "audio"),
    ("documentMessage", "document"),
    ("stickerMessage", "sticker"),
)
# Parts without content for a person.
SILENT_FIELDS = frozenset(
    {"senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage", "messageContextInfo"}
)
VIEW_ONCE = frozenset({"viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension"})
REVOKE, EDIT = 0, 14  # of ProtocolMessage.Type
DEEPEST_ENVELOPE = 16

OwnId = Callable[[str], str]
Parts = dict[str, Any]


def unwrap(message: Any) -> tuple[Any, frozenset[str]]:
    """The message inside its envelopes ("disappearing", "view once", ...), and their names."""
    seen: set[str] = set()
    for _ in range(DEEPEST_ENVELOPE):
        name = next(_envelopes(message), None)
        if name is None:
            break
        seen.add(name)
        message = getattr(message, name).message
    return message, frozenset(seen)


def _envelopes(message: Any) -> Iterator[str]:
    # The protocol gets new envelopes all the time, and all have the same shape.
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is not None and kind.name in ("FutureProofMessage", "DeviceSentMessage") and value.HasField("message"):
            yield field.name


def has_content(message: Any) -> bool:
    """Whether an unwrapped message has content for a person."""
    if message.HasField("protocolMessage"):
        return changed_id(message) is not None
    return any(field.name not in SILENT_FIELDS for field, _ in message.ListFields())


def changed_id(message: Any) -> str | None:
    """WhatsApp's id of the message that this one edits or revokes."""
    part = message.protocolMessage
    if message.HasField("protocolMessage") and part.type in (REVOKE, EDIT) and part.HasField("key"):
        return str(part.key.ID) or None
    return None


def parts(message: Any, own_id: OwnId) -> Parts:
    """The fields of an ``InboundMessage`` that an unwrapped message decides; media without file."""
    if (changed := changed_id(message)) is not None:
        if message.protocolMessage.type == REVOKE:
            return {"type": "revoke", "revokes": own_id(changed)}
        body, _ = unwrap(message.protocolMessage.editedMessage)
        return parts(body, own_id) | {"type": "edit", "edits": own_id(changed)}
    for name, kind in MEDIA_FIELDS:
        if message.HasField(name):
            return _media(name, kind, getattr(message, name)) | _context(getattr(message, name), own_id)
    for name, translate in _KINDS.items():
        if message.HasField(name):
            part = getattr(message, name)
            return translate(part) | _context(part, own_id)
    if message.HasField("reactionMessage"):
        reaction = message.reactionMessage
        return {"type": "reaction", "text": reaction.text or None, "reaction_to": own_id(reaction.key.ID)}
    if message.HasField("pollUpdateMessage"):
        vote = PollVote(own_id(message.pollUpdateMessage.pollCreationMessageKey.ID), unreadable=True)
        return {"type": "poll_vote", "vote": vote}
    if message.conversation:
        return {"type": "text", "text": message.conversation}
    return {"type": "other"}


def album_id(message: Any) -> str | None:
    """WhatsApp's id of the album that a file belongs to."""
    if not message.HasField("messageContextInfo"):
        return None
    return str(message.messageContextInfo.messageAssociation.parentMessageKey.ID) or None


def _context(part: Any, own_id: OwnId) -> Parts:
    """What a message says about others: the quoted one, the mentioned people, that it is forwarded."""
    if "contextInfo" not in part.DESCRIPTOR.fields_by_name:
        return {}
    context = part.contextInfo
    return {
        "reply_to": own_id(context.stanzaID) if context.stanzaID else None,
        "mentions": tuple(context.mentionedJID),
        "forwarded": bool(context.isForwarded),
        "view_once": bool(getattr(part, "viewOnce", False)),
    }


def _media(name: str, kind: MessageType, part: Any) -> Parts:
    media = Media(
        mime_type=part.mimetype or "application/octet-stream",
        file_name=getattr(part, "fileName", "") or None,
        size=part.fileLength or None,
        seconds=getattr(part, "seconds", 0) or None,
        voice=bool(getattr(part, "PTT", False)),
        video_note=name == "ptvMessage",
    )
    return {"type": kind, "text": getattr(part, "caption", "") or None, "media": media}


def _text(part: Any) -> Parts:
    return {"type": "text", "text": part.text}


def _location(part: Any) -> Parts:
    return {
        "type": "location",
        "latitude": part.degreesLatitude,
        "longitude": part.degreesLongitude,
        "name": part.name or None,
        "text": part.comment or None,
        "live": bool(part.isLive),
    }


def _live_location(part: Any) -> Parts:
    place = {"latitude": part.degreesLatitude, "longitude": part.degreesLongitude}
    return {"type": "location", **place, "text": part.caption or None, "live": True}


def _contact(part: Any) -> Parts:
    return _contacts_of([vcards.read(part.vcard, part.displayName)])


def _contacts(part: Any) -> Parts:
    return _contacts_of([vcards.read(one.vcard, one.displayName) for one in part.contacts])


def _contacts_of(found: list[Any]) -> Parts:
    first = found[0] if found else None
    return {
        "type": "contact",
        "name": first.name if first else None,
        "contact_phone": first.phones[0] if first and first.phones else None,
        "contacts": tuple(found),
    }


def _poll(part: Any) -> Parts:
    options = tuple(option.optionName for option in part.options)
    return {"type": "poll", "text": part.name or None, "poll": Poll(part.name, options, part.selectableOptionsCount)}


def _album(part: Any) -> Parts:
    return {"type": "album", "album": Album(part.expectedImageCount, part.expectedVideoCount)}


def _invite(part: Any) -> Parts:
    expires_ms = part.inviteExpiration * 1000 if part.inviteExpiration else None
    invite = GroupInvite(part.groupJID, part.inviteCode, part.groupName or None, expires_ms)
    return {"type": "group_invite", "text": part.caption or None, "invite": invite}


def _chosen(text: str, own_name: str) -> Parts:
    return {"type": "choice", "text": text or None, "choice": Choice(text or None, own_name or None)}


def _flow_answer(part: Any) -> Parts:
    """An answer to the newer buttons and lists: JSON of the app that made them."""
    try:
        given = msgspec.json.decode(part.nativeFlowResponseMessage.paramsJSON or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        given = {}
    own_name = given.get("id") if isinstance(given, dict) else None
    return _chosen(part.body.text, own_name if isinstance(own_name, str) else part.nativeFlowResponseMessage.name)


def _offer(text: str, choices: Iterator[Choice]) -> Parts:
    return {"type": "text", "text": text or None, "choices": tuple(choices)}


def _buttons(part: Any) -> Parts:
    offered = (Choice(button.buttonText.displayText or None, button.buttonID or None) for button in part.buttons)
    return _offer(part.contentText or part.text, offered)


def _list(part: Any) -> Parts:
    rows = (row for section in part.sections for row in section.rows)
    return _offer(part.description or part.title, (Choice(row.title or None, row.rowID or None) for row in rows))


def _template(part: Any) -> Parts:
    if part.HasField("interactiveMessageTemplate"):
        return _interactive(part.interactiveMessageTemplate)
    filled = part.hydratedTemplate if part.HasField("hydratedTemplate") else part.hydratedFourRowTemplate
    buttons = (button.quickReplyButton for button in filled.hydratedButtons if button.HasField("quickReplyButton"))
    offered = (Choice(button.displayText or None, button.ID or None) for button in buttons)
    return _offer(filled.hydratedContentText or filled.hydratedTitleText, offered)


def _interactive(part: Any) -> Parts:
    offered = (Choice(_button_text(button.buttonParamsJSON), button.name) for button in part.nativeFlowMessage.buttons)
    return _offer(part.body.text or part.header.title, offered)


def _button_text(raw: str) -> str | None:
    try:
        given = msgspec.json.decode(raw or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    text = given.get("display_text")
    return text if isinstance(text, str) else None


def _event(part: Any) -> Parts:
    return {"type": "other", "name": part.name or None, "text": part.description or None}


def _named(field: str) -> Callable[[Any], Parts]:
    return lambda part: {"type": "other", "text": getattr(part, field) or None}


_KINDS: dict[str, Callable[[Any], Parts]] = {
    "locationMessage": _location,
    "liveLocationMessage": _live_location,
    "contactMessage": _contact,
    "contactsArrayMessage": _contacts,
    "extendedTextMessage": _text,
    "pollCreationMessage": _poll,
    "pollCreationMessageV2": _poll,
    "pollCreationMessageV3": _poll,
    "pollCreationMessageV5": _poll,
    "pollCreationMessageV6": _poll,
    "albumMessage": _album,
    "groupInviteMessage": _invite,
    "buttonsResponseMessage": lambda part: _chosen(part.selectedDisplayText, part.selectedButtonID),
    "templateButtonReplyMessage": lambda part: _chosen(part.selectedDisplayText, part.selectedID),
    "listResponseMessage": lambda part: _chosen(part.title, part.singleSelectReply.selectedRowID),
    "interactiveResponseMessage": _flow_answer,
    "buttonsMessage": _buttons,
    "listMessage": _list,
    "templateMessage": _template,
    "interactiveMessage": _interactive,
    "eventMessage": _event,
    "productMessage": _named("body"),
    "orderMessage": _named("message"),
    "newsletterAdminInviteMessage": _named("caption"),
    "stickerPackMessage": _named("name"),
}

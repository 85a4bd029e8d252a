"""The content of a message as Evolution shows it: WhatsApp's own names of types and fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot_service.domain.message import Contact, InboundMessage, OutgoingMessage, Poll

Message = InboundMessage | OutgoingMessage


def content_of(message: Message, url: str = "") -> tuple[str, dict[str, Any]]:
    """(name of the type, the content under that name). ``url``: where its file is."""
    context = _context(message)
    if message.type == "text" and not context and _background(message) is None:
        return "conversation", {"conversation": message.text or ""}
    if isinstance(message, InboundMessage) and message.type in _ONLY_IN:
        name, fields = _ONLY_IN[message.type](message)
    else:
        name, fields = _CONTENT.get(message.type, _other)(message)
    if message.media is not None:
        fields |= _file(message, url)
    return name, {name: fields | ({"contextInfo": context} if context else {})}


def _background(message: Message) -> str | None:
    """The colour behind a status of the own account."""
    return message.background if isinstance(message, OutgoingMessage) else None


def _context(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if message.reply_to is not None:
        found["stanzaId"] = message.reply_to
    if message.mentions:
        found["mentionedJid"] = list(message.mentions)
    if message.forwarded:
        found["isForwarded"] = True
    return found


def _file(message: Message, url: str) -> dict[str, Any]:
    media = message.media
    if media is None:
        return {}
    found: dict[str, Any] = {"url": url, "mimetype": media.mime_type}
    if media.size is not None:
        found["fileLength"] = str(media.size)
    if media.seconds is not None:
        found["seconds"] = media.seconds
    if message.type == "audio":
        found["ptt"] = media.voice
    if message.type == "document":
        found["fileName"] = found["title"] = media.file_name or "document"
    return found


def _text(message: Message) -> tuple[str, dict[str, Any]]:
    found: dict[str, Any] = {"text": message.text or ""}
    if (background := _background(message)) is not None:
        found["backgroundArgb"] = 0xFF000000 | int(background[1:], 16)
    return "extendedTextMessage", found


def _captioned(message: Message) -> tuple[str, dict[str, Any]]:
    round_video = message.media is not None and message.media.video_note
    name = "ptvMessage" if round_video else f"{message.type}Message"
    return name, {"caption": message.text} if message.text else {}


def _location(message: Message) -> tuple[str, dict[str, Any]]:
    live = isinstance(message, InboundMessage) and message.live
    place = {"degreesLatitude": message.latitude, "degreesLongitude": message.longitude, "name": message.name or ""}
    return "liveLocationMessage" if live else "locationMessage", place


def _contact(message: Message) -> tuple[str, dict[str, Any]]:
    cards = message.contacts if isinstance(message, InboundMessage) else ()
    if not cards:
        cards = (Contact(message.name, (message.contact_phone,) if message.contact_phone else ()),)
    shown = [{"displayName": card.name or "", "vcard": _vcard(card)} for card in cards]
    return ("contactMessage", shown[0]) if len(shown) == 1 else ("contactsArrayMessage", {"contacts": shown})


def _vcard(card: Contact) -> str:
    phones = [f"TEL;type=CELL;waid={phone}:+{phone}" for phone in card.phones]
    return "\n".join(["BEGIN:VCARD", "VERSION:3.0", f"FN:{card.name or ''}", *phones, "END:VCARD"])


def _reaction(message: Message) -> tuple[str, dict[str, Any]]:
    return "reactionMessage", {"key": _key(message, message.reaction_to), "text": message.text or ""}


def _poll(message: Message) -> tuple[str, dict[str, Any]]:
    poll = message.poll or Poll("", ())
    options = [{"optionName": option} for option in poll.options]
    return "pollCreationMessage", {
        "name": poll.question,
        "options": options,
        "selectableOptionsCount": poll.selectable,
    }


def _change(message: Message) -> tuple[str, dict[str, Any]]:
    """An edit or a revocation."""
    if message.type == "revoke":
        return "protocolMessage", {"key": _key(message, message.revokes), "type": "REVOKE"}
    new = {"conversation": message.text or ""}
    return "protocolMessage", {"key": _key(message, message.edits), "type": "MESSAGE_EDIT", "editedMessage": new}


def _other(_: Message) -> tuple[str, dict[str, Any]]:
    return "unknownMessage", {}


def _vote(message: InboundMessage) -> tuple[str, dict[str, Any]]:
    vote = message.vote
    found = {"pollCreationMessageKey": _key(message, vote.poll if vote else None)}
    return "pollUpdateMessage", found | {"vote": {"selectedOptions": list(vote.options) if vote else []}}


def _choice(message: InboundMessage) -> tuple[str, dict[str, Any]]:
    choice = message.choice
    text, chosen = (choice.text, choice.id) if choice else (message.text, None)
    return "buttonsResponseMessage", {"selectedButtonId": chosen or "", "selectedDisplayText": text or ""}


def _album(message: InboundMessage) -> tuple[str, dict[str, Any]]:
    album = message.album
    images, videos = (album.images, album.videos) if album else (0, 0)
    return "albumMessage", {"expectedImageCount": images, "expectedVideoCount": videos}


def _invite(message: InboundMessage) -> tuple[str, dict[str, Any]]:
    invite = message.invite
    if invite is None:
        return "groupInviteMessage", {}
    found = {"groupJid": invite.group, "inviteCode": invite.code, "groupName": invite.name or ""}
    return "groupInviteMessage", found | ({"inviteExpiration": invite.expires_ms // 1000} if invite.expires_ms else {})


def _key(message: Message, message_id: str | None) -> dict[str, Any]:
    """The message that this one refers to."""
    chat = message.chat if isinstance(message, InboundMessage) else message.to
    return {"remoteJid": chat, "id": message_id or ""}


_CONTENT: dict[str, Callable[[Message], tuple[str, dict[str, Any]]]] = {
    "text": _text,
    "image": _captioned,
    "video": _captioned,
    "document": _captioned,
    "audio": _captioned,
    "sticker": _captioned,
    "location": _location,
    "contact": _contact,
    "reaction": _reaction,
    "poll": _poll,
    "edit": _change,
    "revoke": _change,
}
_ONLY_IN: dict[str, Callable[[InboundMessage], tuple[str, dict[str, Any]]]] = {
    "poll_vote": _vote,
    "choice": _choice,
    "album": _album,
    "group_invite": _invite,
}

"""Messages and chats in the reader's words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from bot_service.dashboard.view_models import moment
from bot_service.domain.message import InboundMessage
from bot_service.messages.commands import StoredChat, StoredMessage
from bot_service.messages.rendering import message_of
from shared.translation import N_
from shared.web.ui.words import Words

_LONGEST_TEXT, _LONGEST_PREVIEW = 4096, 90

# What stands for a message, or beside its text; a text alone needs no word.
KIND = {
    "image": N_("image"),
    "document": N_("document"),
    "audio": N_("audio"),
    "video": N_("video"),
    "location": N_("location"),
    "contact": N_("contact"),
    "reaction": N_("reaction"),
    "sticker": N_("sticker"),
    "poll": N_("poll"),
    "poll_vote": N_("vote"),
    "choice": N_("choice"),
    "album": N_("album"),
    "group_invite": N_("group invitation"),
    "edit": N_("edit"),
    "revoke": N_("deleted message"),
    "other": N_("other content"),
}


@dataclass(frozen=True, slots=True, repr=False)
class MessageLine:
    """``group`` is the group it was written in, ``file`` the address of its file, ``take_back`` where a
    form revokes it, ``error`` why it was not sent; all may be empty."""

    direction: str
    who: str
    group: str
    kind: str
    text: str
    at: datetime | None
    state: str
    file: str
    file_name: str
    chat_href: str
    id: str = ""
    error: str = ""
    take_back: str = ""


def message_line(stored: StoredMessage, t: Words, *, revocable: bool = False) -> MessageLine:
    message, out = message_of(stored), stored.direction == "out"
    group = address_name(stored.chat, t) if stored.chat.endswith("@g.us") else ""
    if isinstance(message, InboundMessage) and not message.from_me:
        sender = address_name(message.sender, t)
        named = f"{message.push_name} ({sender})" if message.push_name else sender
        who = t("from {name}", name=named)
    elif out:
        who = t("to {name}", name=address_name(stored.chat, t))
    else:
        who = t("from the linked phone to {name}", name=address_name(stored.chat, t))
        out = True
    media = message.media
    has_file = media is not None and media.file_key is not None
    return MessageLine(
        direction="out" if out else "in",
        who=who,
        group=group if not out else "",
        kind=t(KIND.get(stored.type, "")),
        text=_shortened(message.text or message.name or (message.poll.question if message.poll else ""), _LONGEST_TEXT),
        at=moment(stored.at_ms),
        state=t(stored.state) if stored.direction == "out" else "",
        file=f"{session_path(stored.session)}/messages/{quote(stored.message_id, safe='')}/file" if has_file else "",
        file_name=(media.file_name or media.mime_type) if media is not None else "",
        chat_href=chat_path(stored.session, stored.chat),
        id=stored.message_id,
        error=stored.error or "" if out else "",
        take_back=f"{session_path(stored.session)}/messages/{quote(stored.message_id, safe='')}/revoke"
        if revocable
        else "",
    )


@dataclass(frozen=True, slots=True, repr=False)
class ChatLine:
    """One chat with the beginning of its last message."""

    href: str
    name: str
    preview: str
    at: datetime | None
    unread: str


def chat_line(chat: StoredChat, t: Words) -> ChatLine:
    last = message_line(chat.last, t)
    return ChatLine(
        href=last.chat_href,
        name=address_name(chat.last.chat, t),
        preview=_shortened(" · ".join(part for part in (last.who, last.kind, last.text) if part), _LONGEST_PREVIEW),
        at=last.at,
        unread=t.many(chat.unread, "{n} unread", "{n} unread") if chat.unread else "",
    )


def address_name(jid: str, t: Words) -> str:
    """``+33612345678`` for a person, else what kind of address it is with its number."""
    user, _, server = jid.partition("@")
    user = user.partition(":")[0]
    if server in ("s.whatsapp.net", "c.us"):
        return f"+{user}"
    if server == "g.us":
        return t("group {name}", name=user)
    return user if server == "lid" else jid


def session_path(session: str) -> str:
    return f"/sessions/{quote(session, safe='')}"


def chat_path(session: str, chat: str) -> str:
    return f"{session_path(session)}/chats/{quote(chat, safe='@')}"


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"

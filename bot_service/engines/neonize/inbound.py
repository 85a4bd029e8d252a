"""Translates WhatsApp's messages and receipts.

Pure, except that `fetch` gets the file of a media message and `read_vote` decrypts a vote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot_service.domain.calls import Call
from bot_service.domain.message import PROBE_ID, InboundMessage, Media, PollVote, Receipt
from bot_service.engines.neonize import content, jids
from bot_service.engines.neonize.content import OwnId
from shared import logs

log = logs.get(__name__)

RECEIPT_TYPES = {1: "delivered", 4: "read", 6: "played", 9: "delivered"}

Fetch = Callable[[Any, "Media", str], Media]
# Reads the encrypted vote of an event; gets and returns the vote as far as it is known.
ReadVote = Callable[[Any, PollVote], PollVote]
# The address with the number behind a hidden one, None while it is not known.
NumberOf = Callable[[Any], Any]


def message(
    session: str, event: Any, *, own_id: OwnId, fetch: Fetch, read_vote: ReadVote, number_of: NumberOf
) -> InboundMessage | None:
    """An inbound message; None without content for a person.

    Content that cannot be translated becomes type ``other``: the message itself must not be lost.
    """
    body, envelopes = content.unwrap(event.Message)
    if not content.has_content(body):
        return None
    info, source = event.Info, event.Info.MessageSource
    to_one = source.IsFromMe and not source.IsGroup
    person, other = (source.Sender if source.IsGroup else source.Chat), source.SenderAlt
    if to_one:
        other = source.RecipientAlt
    if person.Server == jids.HIDDEN_SERVER and not other.User:
        other = number_of(person) or other
    chat = jids.to_text(source.Chat) if source.IsGroup else jids.known_by_number(source.Chat, other)
    return InboundMessage(
        session=session,
        chat=chat,
        id=_probe_id(body) or _own_id_of(info, body),
        sender=jids.known_by_number(source.Sender, source.SenderAlt if to_one else other),
        lid=None if source.IsGroup and source.IsFromMe else jids.hidden(person, other),
        at_ms=_milliseconds(info.Timestamp),
        push_name=info.Pushname or None,
        from_me=source.IsFromMe,
        # The library calls a status a group too, because it names its author.
        is_group=source.Chat.Server == jids.GROUP_SERVER,
        **_parts(event, body, envelopes, own_id, fetch, read_vote),
    )


def _own_id_of(info: Any, body: Any) -> str:
    """Some clients give an edit the id of the message it changes; it is a message of its own."""
    changed = content.changed_id(body)
    return f"{info.ID}.{_milliseconds(info.Timestamp)}" if changed == info.ID else str(info.ID)


def _parts(
    event: Any, body: Any, envelopes: frozenset[str], own_id: OwnId, fetch: Fetch, read_vote: ReadVote
) -> dict[str, Any]:
    try:
        found = content.parts(body, own_id)
    except (ValueError, TypeError, AttributeError, RecursionError):
        log.exception("The content of a message cannot be translated", event_name="engine.content")
        return {"type": "other"}
    if found["type"] == "poll_vote":
        found["vote"] = read_vote(event, found["vote"])
    if found["type"] == "edit":
        found.pop("media", None)
    elif found.get("media") is not None:
        found["media"] = fetch(_downloadable(body), found["media"], event.Info.ID)
    in_album = content.album_id(body) or content.album_id(event.Message)
    if in_album is not None:
        found["album_id"] = in_album
    if envelopes & content.VIEW_ONCE or event.IsViewOnce or event.IsViewOnceV2 or event.IsViewOnceV2Extension:
        found["view_once"] = True
    return found


def _downloadable(body: Any) -> Any:
    """The library does not know round videos as files; they are stored like other videos."""
    if not body.HasField("ptvMessage"):
        return body
    video = type(body)()
    video.videoMessage.CopyFrom(body.ptvMessage)
    return video


def _probe_id(body: Any) -> str | None:
    """The id of a receive probe, which `outgoing` hides in the message; None for others."""
    if not body.HasField("extendedTextMessage"):
        return None
    source = str(body.extendedTextMessage.contextInfo.conversionSource)
    return source if source.startswith(PROBE_ID) else None


def receipt(session: str, event: Any, *, own_id: OwnId, chat_of: Callable[[str], str | None]) -> Receipt | None:
    """A receipt for sent messages; None for receipts of no use.

    `chat_of(WhatsApp's id)` is the chat of that message: the receipt may name the hidden address.
    """
    kind = RECEIPT_TYPES.get(event.Type, "")
    ids = list(event.MessageIDs)
    if event.MessageSource.IsFromMe:
        # A receipt of the own phone counts only for a probe to the own account.
        kind = "delivered" if any(own_id(whatsapp_id).startswith(PROBE_ID) for whatsapp_id in ids) else ""
    if not kind:
        return None
    source = event.MessageSource
    chat = chat_of(ids[0]) if ids else None
    return Receipt(
        session=session,
        chat=chat or jids.known_by_number(source.Chat, source.SenderAlt),
        message_ids=[own_id(whatsapp_id) for whatsapp_id in ids],
        type=kind,
        at_ms=_milliseconds(event.Timestamp),
    )


def call(session: str, event: Any) -> tuple[Call, str]:
    """A call that is offered, and its caller as WhatsApp names him: only that address can reject it."""
    meta = event.basicCallMeta
    group = getattr(meta, "from")
    is_group = group.Server == jids.GROUP_SERVER or getattr(event, "type", "") == "group"
    video = getattr(event, "media", "") == "video" or any(part.Tag == "video" for part in event.data.Nodes)
    found = Call(
        session,
        meta.callID,
        jids.known_by_number(meta.callCreator, meta.callCreatorAlt),
        _milliseconds(meta.timestamp),
        video,
        jids.to_text(group) if is_group and group.Server == jids.GROUP_SERVER else None,
    )
    return found, jids.to_text(meta.callCreator, with_device=True)


def _milliseconds(timestamp: int) -> int:
    """The library gives seconds in some places and milliseconds in others."""
    return timestamp if timestamp > 100_000_000_000 else timestamp * 1000

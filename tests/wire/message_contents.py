"""Messages of every kind as phones send them, each with what has to arrive."""

from __future__ import annotations

import base64
from typing import Any

from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as e2e

Expected = dict[str, Any]
CARD = "BEGIN:VCARD\nVERSION:{}\n{}\nFN:{}\nEND:VCARD"


def made(field: str, **parts: Any) -> Any:
    """A message with one part."""
    message = e2e.Message()
    part = getattr(message, field)
    _fill(part, parts)
    part.SetInParent()
    return message


def _fill(part: Any, parts: dict[str, Any]) -> None:
    for name, value in parts.items():
        if isinstance(value, dict):
            getattr(part, name).SetInParent()
            _fill(getattr(part, name), value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for one in value:
                _fill(getattr(part, name).add(), one)
        elif isinstance(value, list):
            getattr(part, name).extend(value)
        else:
            setattr(part, name, value)


def inside(envelope: str, message: Any) -> Any:
    """``message`` in an envelope."""
    outer = e2e.Message()
    getattr(outer, envelope).message.CopyFrom(message)
    return outer


def raw(message: Any) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def text(body: str, **context: Any) -> Any:
    return made("extendedTextMessage", text=body, contextInfo=context)


def edit(target: str, new: Any) -> Any:
    message = e2e.Message()
    message.protocolMessage.type = e2e.ProtocolMessage.MESSAGE_EDIT
    message.protocolMessage.key.ID = target
    message.protocolMessage.editedMessage.CopyFrom(new)
    return message


def revoke(target: str) -> Any:
    message = e2e.Message()
    message.protocolMessage.type = e2e.ProtocolMessage.REVOKE
    message.protocolMessage.key.ID = target
    return message


def card(name: str, line: str, version: str = "3.0") -> dict[str, str]:
    return {"displayName": name, "vcard": CARD.format(version, line, name)}


POLL = {"name": "When?", "options": [{"optionName": "Monday"}, {"optionName": "Tuesday"}], "selectableOptionsCount": 1}
POLL_VALUE = {"question": "When?", "options": ("Monday", "Tuesday"), "selectable": 1}
ANN_NUMBER = "TEL;waid=33612345678:+33 6 12 34 56 78"
BUTTONS = {
    "contentText": "Which?",
    "buttons": [
        {"buttonID": "b1", "buttonText": {"displayText": "One"}, "type": 1},
        {"buttonID": "b2", "buttonText": {"displayText": "Two"}, "type": 1},
    ],
}
FLOW = {"name": "quick_reply", "paramsJSON": '{"id": "row-7"}', "version": 3}

# Name of the case: the message, and the fields of the InboundMessage that it must become.
CASES: dict[str, tuple[Any, Expected]] = {
    "edit": (edit("M1", e2e.Message(conversation="new")), {"type": "edit", "edits": "M1", "text": "new"}),
    "edit in an envelope": (
        inside("editedMessage", edit("M1", text("new", mentionedJID=["1@s.whatsapp.net"]))),
        {"type": "edit", "edits": "M1", "text": "new", "mentions": ("1@s.whatsapp.net",)},
    ),
    "edit of a caption": (
        edit("M1", made("imageMessage", caption="new", mimetype="image/png")),
        {"type": "edit", "edits": "M1", "text": "new", "media": None},
    ),
    "edit of a disappearing message": (
        inside("ephemeralMessage", edit("M1", inside("ephemeralMessage", e2e.Message(conversation="new")))),
        {"type": "edit", "edits": "M1", "text": "new"},
    ),
    "revocation": (revoke("M1"), {"type": "revoke", "revokes": "M1", "text": None}),
    "revocation in an envelope": (inside("ephemeralMessage", revoke("M1")), {"type": "revoke", "revokes": "M1"}),
    "poll": (made("pollCreationMessage", **POLL), {"type": "poll", "poll": POLL_VALUE, "text": "When?"}),
    "poll, version 3": (made("pollCreationMessageV3", **POLL), {"type": "poll", "poll": POLL_VALUE}),
    "poll, version 4": (
        inside("pollCreationMessageV4", made("pollCreationMessage", **POLL)),
        {"type": "poll", "poll": POLL_VALUE},
    ),
    "poll, disappearing": (
        inside("ephemeralMessage", made("pollCreationMessageV2", **POLL)),
        {"type": "poll", "poll": POLL_VALUE},
    ),
    "vote that cannot be read": (
        made("pollUpdateMessage", pollCreationMessageKey={"ID": "P1"}, vote={"encPayload": b"x", "encIV": b"y"}),
        {"type": "poll_vote", "vote": {"poll": "P1", "unreadable": True}},
    ),
    "buttons": (
        made("buttonsMessage", **BUTTONS),
        {"type": "text", "text": "Which?", "choices": ({"text": "One", "id": "b1"}, {"text": "Two", "id": "b2"})},
    ),
    "answer to buttons": (
        made(
            "buttonsResponseMessage", selectedButtonID="b2", selectedDisplayText="Two", contextInfo={"stanzaID": "M1"}
        ),
        {"type": "choice", "text": "Two", "choice": {"text": "Two", "id": "b2"}, "reply_to": "M1"},
    ),
    "answer to template buttons": (
        made("templateButtonReplyMessage", selectedID="t1", selectedDisplayText="Yes"),
        {"type": "choice", "text": "Yes", "choice": {"text": "Yes", "id": "t1"}},
    ),
    "list": (
        made("listMessage", description="Pick", sections=[{"title": "A", "rows": [{"title": "Row", "rowID": "r1"}]}]),
        {"type": "text", "text": "Pick", "choices": ({"text": "Row", "id": "r1"},)},
    ),
    "answer to a list": (
        made("listResponseMessage", title="Row", singleSelectReply={"selectedRowID": "r1"}),
        {"type": "choice", "text": "Row", "choice": {"text": "Row", "id": "r1"}},
    ),
    "answer to newer buttons": (
        made("interactiveResponseMessage", body={"text": "Seven"}, nativeFlowResponseMessage=FLOW),
        {"type": "choice", "text": "Seven", "choice": {"text": "Seven", "id": "row-7"}},
    ),
    "answer to newer buttons, broken": (
        made(
            "interactiveResponseMessage",
            body={"text": "?"},
            nativeFlowResponseMessage=FLOW | {"paramsJSON": "[" * 9000},
        ),
        {"type": "choice", "text": "?", "choice": {"text": "?", "id": "quick_reply"}},
    ),
    "live location": (
        made("liveLocationMessage", degreesLatitude=1.5, degreesLongitude=2.5, caption="here"),
        {"type": "location", "latitude": 1.5, "longitude": 2.5, "text": "here", "live": True},
    ),
    "location": (
        made("locationMessage", degreesLatitude=1.5, degreesLongitude=2.5, name="Café"),
        {"type": "location", "latitude": 1.5, "longitude": 2.5, "name": "Café", "live": False},
    ),
    "contact": (
        made("contactMessage", **card("Ann", "item1." + ANN_NUMBER)),
        {"type": "contact", "name": "Ann", "contact_phone": "33612345678"},
    ),
    "several contacts": (
        made(
            "contactsArrayMessage",
            displayName="2 contacts",
            contacts=[card("Ann", ANN_NUMBER), card("Ben", "tel;cell:+49.151.1234", "2.1")],
        ),
        {
            "type": "contact",
            "name": "Ann",
            "contact_phone": "33612345678",
            "contacts": ({"name": "Ann", "phones": ("33612345678",)}, {"name": "Ben", "phones": ("491511234",)}),
        },
    ),
    "album": (
        made("albumMessage", expectedImageCount=3, expectedVideoCount=1),
        {"type": "album", "album": {"images": 3, "videos": 1}},
    ),
    "group invite": (
        made(
            "groupInviteMessage",
            groupJID="1203@g.us",
            inviteCode="abc",
            groupName="Us",
            inviteExpiration=9,
            caption="join",
        ),
        {
            "type": "group_invite",
            "text": "join",
            "invite": {"group": "1203@g.us", "code": "abc", "name": "Us", "expiresMs": 9000},
        },
    ),
    "mentions": (
        text("@33612345678 hi", mentionedJID=["33612345678@s.whatsapp.net", "9@lid"], isForwarded=True),
        {"type": "text", "mentions": ("33612345678@s.whatsapp.net", "9@lid"), "forwarded": True},
    ),
    "mentions of a group": (
        inside("groupMentionedMessage", text("all")),
        {"type": "text", "text": "all"},
    ),
    "envelope in envelope": (
        inside("ephemeralMessage", inside("groupMentionedMessage", inside("viewOnceMessageV2", text("deep")))),
        {"type": "text", "text": "deep", "view_once": True},
    ),
    "unknown to this service": (made("paymentInviteMessage", serviceType=1), {"type": "other"}),
}
FILES: dict[str, tuple[str, str, tuple[str, ...], Expected]] = {
    # Name: the field, the kind of file for the media host, the envelopes, and what has to arrive.
    "view once picture": ("imageMessage", "image", ("viewOnceMessage",), {"type": "image", "view_once": True}),
    "view once video, version 2": (
        "videoMessage",
        "video",
        ("viewOnceMessageV2",),
        {"type": "video", "view_once": True},
    ),
    "view once voice": ("audioMessage", "audio", ("viewOnceMessageV2Extension",), {"type": "audio", "view_once": True}),
    "round video": ("ptvMessage", "video", (), {"type": "video"}),
    "document with caption": (
        "documentMessage",
        "document",
        ("documentWithCaptionMessage",),
        {"type": "document", "text": "see"},
    ),
    "animated sticker": ("stickerMessage", "sticker", ("lottieStickerMessage",), {"type": "sticker"}),
    "picture of an album": ("imageMessage", "image", ("associatedChildMessage",), {"type": "image", "album_id": "A1"}),
}

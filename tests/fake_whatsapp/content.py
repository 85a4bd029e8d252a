"""Message contents: made for the phones to send, and described as plain values when a phone has read one."""

from __future__ import annotations

from typing import Any

from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as e2e

from tests.fake_whatsapp.media import MEDIA_KEYS, MediaFile

Content = Any  # a protobuf `waE2E.Message`; the generated module carries no types


def text(body: str) -> Content:
    return e2e.Message(conversation=body)


def reply(body: str, *, to_id: str, to_sender: str, quoted: str = "") -> Content:
    context = e2e.ContextInfo(stanzaID=to_id, participant=to_sender, quotedMessage=e2e.Message(conversation=quoted))
    return e2e.Message(extendedTextMessage=e2e.ExtendedTextMessage(text=body, contextInfo=context))


def reaction(emoji: str, *, chat_jid: str, to_id: str, from_me: bool) -> Content:
    """`from_me` from the view of the phone that reacts."""
    message = e2e.Message()
    message.reactionMessage.key.remoteJID = chat_jid
    message.reactionMessage.key.fromMe = from_me
    message.reactionMessage.key.ID = to_id
    message.reactionMessage.text = emoji
    return message


def location(latitude: float, longitude: float, name: str = "") -> Content:
    return e2e.Message(
        locationMessage=e2e.LocationMessage(degreesLatitude=latitude, degreesLongitude=longitude, name=name)
    )


def contact(name: str, number: str) -> Content:
    card = f"BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL;type=CELL;waid={number}:+{number}\nEND:VCARD"
    return e2e.Message(contactMessage=e2e.ContactMessage(displayName=name, vcard=card))


def media(kind: str, file: MediaFile, *, caption: str = "", file_name: str = "") -> Content:
    """`kind` is image, video, audio, document or sticker."""
    message = e2e.Message()
    part = getattr(message, f"{kind}Message")
    part.URL = file.url
    part.directPath = file.direct_path
    part.mediaKey = file.media_key
    part.mimetype = file.mime_type
    part.fileEncSHA256 = file.sealed_sha256
    part.fileSHA256 = file.plain_sha256
    part.fileLength = file.size
    if caption and kind in ("image", "video", "document"):
        part.caption = caption
    if file_name and kind == "document":
        part.fileName = file_name
    return message


def sender_key(group: str, distribution: bytes) -> Content:
    part = e2e.SenderKeyDistributionMessage(groupID=group, axolotlSenderKeyDistributionMessage=distribution)
    return e2e.Message(senderKeyDistributionMessage=part)


def to_self(chat: str, inner: Content) -> Content:
    """What the phone sends to its own companions about a message it wrote to `chat`."""
    return e2e.Message(deviceSentMessage=e2e.DeviceSentMessage(destinationJID=chat, message=inner))


def parse(raw: bytes) -> Content:
    return e2e.Message.FromString(raw)


def describe(message: Content) -> dict[str, Any]:
    """Kind and the values that tests look at."""
    if message.HasField("deviceSentMessage"):
        return describe(message.deviceSentMessage.message)
    if message.HasField("editedMessage"):
        return describe(message.editedMessage.message)
    if message.HasField("protocolMessage"):
        part = message.protocolMessage
        kind = {e2e.ProtocolMessage.REVOKE: "revoke", e2e.ProtocolMessage.MESSAGE_EDIT: "edit"}.get(part.type, "other")
        found = {"kind": kind, "target": part.key.ID, "fromMe": part.key.fromMe, "participant": part.key.participant}
        return found | {"text": describe(part.editedMessage).get("text", "")} if kind == "edit" else found
    for field in ("pollCreationMessage", "pollCreationMessageV3"):
        if message.HasField(field):
            part = getattr(message, field)
            options = [option.optionName for option in part.options]
            found = {"kind": "poll", "text": part.name, "options": options, "selectable": part.selectableOptionsCount}
            return found | {"secret": message.messageContextInfo.messageSecret.hex()}
    if message.HasField("reactionMessage"):
        part = message.reactionMessage
        key = part.key
        found = {"kind": "reaction", "text": part.text, "reactionTo": key.ID}
        return found | {"participant": key.participant, "fromMe": key.fromMe}
    if message.HasField("locationMessage"):
        part = message.locationMessage
        return {
            "kind": "location",
            "latitude": part.degreesLatitude,
            "longitude": part.degreesLongitude,
            "name": part.name,
            "replyTo": part.contextInfo.stanzaID,
        }
    if message.HasField("contactMessage"):
        part = message.contactMessage
        return {"kind": "contact", "name": part.displayName, "vcard": part.vcard}
    for kind in MEDIA_KEYS:
        if message.HasField(f"{kind}Message"):
            part = getattr(message, f"{kind}Message")
            return {
                "kind": kind,
                "text": getattr(part, "caption", ""),
                "mimeType": part.mimetype,
                "fileName": getattr(part, "fileName", ""),
                "directPath": part.directPath,
                "mediaKey": part.mediaKey.hex(),
                "size": part.fileLength,
                "voice": bool(getattr(part, "PTT", False)),
                "background": getattr(part, "backgroundArgb", 0),
                "replyTo": part.contextInfo.stanzaID,
            }
    if message.HasField("extendedTextMessage"):
        part = message.extendedTextMessage
        context = part.contextInfo
        found = {"kind": "text", "text": part.text, "replyTo": context.stanzaID}
        found |= {"forwarded": context.isForwarded}
        found |= {"preview": [part.matchedText, part.title, part.description]} if part.matchedText else {}
        found |= {"background": part.backgroundArgb, "font": part.font} if part.HasField("backgroundArgb") else {}
        return found | {"participant": context.participant, "mentions": list(context.mentionedJID)}
    if message.conversation:
        return {"kind": "text", "text": message.conversation, "replyTo": ""}
    return {"kind": "other"}

"""A telephone in somebody's hand: it seals what it sends for every device, and reads what devices send to it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.fake_whatsapp import content
from tests.fake_whatsapp.accounts import Companion
from tests.fake_whatsapp.content import Content
from tests.fake_whatsapp.jid import JID, lid_jid, phone_jid
from tests.fake_whatsapp.media import MEDIA_KEYS
from tests.fake_whatsapp.nodes import Attr, Node
from tests.fake_whatsapp.sender_keys import OtherSenderKey, OwnSenderKey, SenderKeyError
from tests.fake_whatsapp.signal_session import Bundle, DeviceKeys, Session, SessionError

Address = tuple[str, int]
ENVELOPE_VERSION = "2"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message that a phone wrote, kept so that it can be sealed again when a device asks for it."""

    id: str
    chat: JID
    content: Content
    at_s: int


class Phone:
    """One number's phone: keys, ratchets with every device it met, and everything it saw."""

    def __init__(self, number: str, name: str = "") -> None:
        self.number = number
        self.name = name or f"Phone {number[-4:]}"
        self.keys = DeviceKeys()
        self.inbox: list[dict[str, Any]] = []
        self.unreadable: list[dict[str, str]] = []
        self.hidden = False  # its chats and groups name it by its hidden address
        self.spoils = False  # nothing that it seals can be opened, however often it is asked again
        self.marks: dict[str, list[str]] = {}
        self.typing: list[dict[str, str]] = []
        self.written: dict[str, Outgoing] = {}
        self.sends_receipts = True
        self._sessions: dict[Address, Session] = {}
        self._own_keys: dict[str, tuple[OwnSenderKey, set[Address]]] = {}
        self._other_keys: dict[tuple[str, str, int], list[OtherSenderKey]] = {}

    @property
    def jid(self) -> JID:
        return phone_jid(self.number)

    def bundle(self) -> Bundle:
        """Public keys for whoever opens a session with this phone."""
        return Bundle(
            registration_id=self.keys.registration_id,
            identity=self.keys.identity.public,
            signed_prekey_id=1,
            signed_prekey=self.keys.signed_prekey.public,
            prekey_id=1,
            prekey=self.keys.prekey.public,
        )

    # --- writing ---

    def write(self, message_id: str, chat: JID, message: Content) -> Outgoing:
        """Remember a message before it is sealed for its readers."""
        outgoing = Outgoing(message_id, chat, message, int(time.time()))
        self.written[message_id] = outgoing
        return outgoing

    def stanza_for(self, companion: Companion, outgoing: Outgoing, *, again: int = 0) -> Node:
        """The stanza that carries a message to one device; `again` counts repeats, which open a new session."""
        chat = outgoing.chat
        attrs: dict[str, Attr] = {
            "id": outgoing.id,
            "t": outgoing.at_s,
            "type": _stanza_type(outgoing.content),
            "notify": self.name,
        }
        if chat.is_group:
            attrs |= {"from": chat, **self._names("participant", "participant")}
            return Node("message", attrs, self._group_envelopes(companion, outgoing, again))
        message = outgoing.content
        if chat.server == "broadcast":
            attrs |= {"from": chat, **self._names("participant", "participant")}
        elif companion.number == self.number:
            attrs |= {"from": self.jid, "recipient": chat}
            attrs["peer_recipient_lid"] = lid_jid(chat.number)
            message = content.to_self(str(chat), message)
        else:
            attrs |= self._names("from", "sender")
        return Node("message", attrs, [self._seal(companion, message, again)])

    def _names(self, name: str, other: str) -> dict[str, Attr]:
        """The address by which it is named, and the other one."""
        if self.hidden:
            return {name: lid_jid(self.number), f"{other}_pn": self.jid, "addressing_mode": "lid"}
        return {name: self.jid, f"{other}_lid": lid_jid(self.number), "addressing_mode": "pn"}

    def _seal(self, companion: Companion, message: Content, again: int = 0) -> Node:
        session = self._session((companion.number, companion.device))
        if again or not session.is_open:
            session.begin(companion.take_bundle())
        kind, envelope = session.seal(message.SerializeToString())
        if self.spoils:
            # In the middle: a device that has the session ignores the last field of a first message.
            at = len(envelope) // 2
            envelope = envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]
        attrs: dict[str, Attr] = {"v": ENVELOPE_VERSION, "type": kind}
        if again:
            attrs["count"] = again
        return Node("enc", attrs, envelope)

    def _group_envelopes(self, companion: Companion, outgoing: Outgoing, again: int) -> list[Node]:
        group = outgoing.chat.user
        key, known = self._own_keys.setdefault(group, (OwnSenderKey(), set()))
        address = (companion.number, companion.device)
        if again:
            return [self._seal(companion, outgoing.content, again)]
        introduction = []
        if address not in known:
            known.add(address)
            introduction = [self._seal(companion, content.sender_key(str(outgoing.chat), key.distribution()))]
        return [*introduction, Node("enc", {"v": ENVELOPE_VERSION, "type": "skmsg"}, self._group_text(key, outgoing))]

    def _group_text(self, key: OwnSenderKey, outgoing: Outgoing) -> bytes:
        """Sealed for each device on its own: simpler, and a reader cannot tell."""
        raw: bytes = outgoing.content.SerializeToString()
        return key.seal(raw)

    # --- reading ---

    def read(self, sender: JID, chat: JID, message_id: str, at_s: int, envelopes: Iterable[Node]) -> bool:
        """Open what a device sent; what can be read goes to the inbox, what cannot to `unreadable`. True when something was read."""
        read = False
        for envelope in envelopes:
            kind = envelope.text("type")
            try:
                message = content.parse(self._open(sender, chat, kind, envelope.data()))
            except (SessionError, SenderKeyError, ValueError, IndexError) as error:
                self.unreadable.append({"id": message_id, "from": str(sender), "why": str(error)})
                continue
            if message.HasField("senderKeyDistributionMessage"):
                part = message.senderKeyDistributionMessage
                address = (chat.user, sender.number, sender.device)
                distribution = OtherSenderKey(part.axolotlSenderKeyDistributionMessage)
                self._other_keys.setdefault(address, []).insert(0, distribution)
                message.ClearField("senderKeyDistributionMessage")
            described = content.describe(message)
            if described["kind"] == "other":
                continue
            read = True
            self.inbox.append(
                {"id": message_id, "chat": str(chat), "from": sender.number, "atS": at_s, "via": kind, **described}
            )
        return read

    def _open(self, sender: JID, chat: JID, kind: str, envelope: bytes) -> bytes:
        if kind != "skmsg":
            return self._session((sender.number, sender.device)).open(kind, envelope)
        for key in self._other_keys.get((chat.user, sender.number, sender.device), []):
            try:
                return key.open(envelope)
            except SenderKeyError:
                continue
        raise SenderKeyError("no sender key of this device fits")

    def _session(self, address: Address) -> Session:
        return self._sessions.setdefault(address, Session(self.keys))


def _stanza_type(message: Content) -> str:
    described = content.describe(message)
    kind = described["kind"]
    if kind in MEDIA_KEYS or kind in ("location", "contact"):
        return "media"
    return "reaction" if kind == "reaction" else "text"

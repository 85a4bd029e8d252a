"""Where stanzas go: from a device to phones and other devices, from a phone to devices, and the marks back."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from tests.fake_whatsapp.accounts import LOW_PREKEYS, Account, Companion
from tests.fake_whatsapp.connection import Connection
from tests.fake_whatsapp.content import Content
from tests.fake_whatsapp.jid import JID, SERVER, phone_jid
from tests.fake_whatsapp.nodes import Attr, Node
from tests.fake_whatsapp.offline_queue import key_of
from tests.fake_whatsapp.people import Presences
from tests.fake_whatsapp.phone import Outgoing
from tests.fake_whatsapp.services import low_on_prekeys
from tests.fake_whatsapp.world import World


class Router:
    """Takes every stanza that is not a query."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.presences = Presences(world)

    async def deliver(self, companion: Companion, stanza: Node) -> None:
        """Owe a stanza to a device, and send it now if the device is there."""
        companion.queue.add(stanza)
        if companion.connection is not None:
            await companion.connection.flush()

    # --- from phones ---

    async def phone_sends(self, number: str, chat: JID, message: Content, message_id: str | None = None) -> str:
        """A phone writes into a chat; every device that must read it gets it. Returns the message's id."""
        sender = self._world.account(number)
        outgoing = sender.phone.write(message_id or self._world.new_message_id(), chat, message)
        readers = self._members(chat) - {number}
        for account in (self._world.account(reader) for reader in sorted({*readers, number})):
            for companion in account.companions.values():
                await self._hand_over(sender, companion, outgoing)
        return outgoing.id

    async def phone_posts(self, number: str, readers: list[str], message: Content) -> str:
        """A phone posts a status; those who know its number get it. Returns the message's id."""
        sender = self._world.account(number)
        outgoing = sender.phone.write(self._world.new_message_id(), JID("status", "broadcast"), message)
        for companion in self._devices_of(readers):
            await self._hand_over(sender, companion, outgoing)
        return outgoing.id

    async def phone_types(self, number: str, chat: JID, state: str) -> None:
        """A phone shows that its owner is typing (`composing`, `paused`)."""
        for companion in self._devices_of(self._members(chat) - {number}):
            attrs: dict[str, Attr] = {"from": phone_jid(number)}
            if chat.is_group:
                attrs = {"from": chat, "participant": phone_jid(number)}
            if companion.connection is not None:
                await companion.connection.send(Node("chatstate", attrs, [Node(state)]))

    async def phone_marks(self, number: str, chat: JID, author: str, message_id: str, kind: str) -> None:
        """A phone marks a message as delivered (``""``), `read` or `played` towards the devices of its author."""
        for companion in self._devices_of({author}):
            attrs: dict[str, Attr] = {"id": message_id, "t": self._world.now_s()}
            if chat.has_authors:
                attrs |= {"from": chat, "participant": phone_jid(number)}
            else:
                attrs["from"] = chat
            if kind:
                attrs["type"] = kind
            await self.deliver(companion, Node("receipt", attrs))

    async def _hand_over(self, sender: Account, companion: Companion, outgoing: Outgoing, again: int = 0) -> None:
        await self.deliver(companion, sender.phone.stanza_for(companion, outgoing, again=again))
        if len(companion.prekeys) == LOW_PREKEYS:
            await self.deliver(companion, low_on_prekeys(self._world, companion))

    def _members(self, chat: JID) -> set[str]:
        if chat.is_group:
            return set(self._world.directory.groups[chat.user].members)
        return {chat.number}

    def _devices_of(self, numbers: Iterable[str]) -> list[Companion]:
        accounts = (self._world.account(number) for number in sorted(numbers))
        return [companion for account in accounts for companion in account.companions.values()]

    # --- from devices ---

    async def handle(self, connection: Connection, node: Node) -> None:
        """One stanza of a device."""
        companion = connection.companion
        if companion is None:
            return
        if node.tag == "message":
            await self._message(connection, companion, node)
        elif node.tag == "receipt":
            await self._receipt(connection, companion, node)
        elif node.tag == "ack":
            companion.queue.settle(key_of(node.text("class"), node))
        elif node.tag in ("presence", "call"):
            await self.presences.handle(connection, node)
        elif node.tag == "chatstate":
            state = node.children()[0]
            entry = {"from": companion.number, "state": state.tag, "media": state.text("media")}
            for number in self._members(node.jid("to")) - {companion.number}:
                self._world.account(number).phone.typing.append(entry)

    async def _message(self, connection: Connection, companion: Companion, node: Node) -> None:
        faults, number = self._world.faults, companion.number
        if faults.hits(faults.no_message_ack, number):
            self._world.stats["messages swallowed"] += 1
            return
        ack: dict[str, Attr] = {"class": "message", "id": node.text("id"), "from": node.attrs["to"]}
        ack["t"] = self._world.now_s()
        refusal = faults.reject_sends.get(number) or faults.reject_sends.get("all")
        if refusal:
            await connection.send(Node("ack", {**ack, "error": refusal}))
            return
        if self._misses_devices(node):
            # The hash of the list as the server knows it: the device asks for it before its next message.
            ack["phash"] = "2:AAAAAAAA"
        self._world.stats["messages from devices"] += 1
        if not faults.hits(faults.lost_acks, number):
            await connection.send(Node("ack", ack))
        await self._spread(companion, node)

    def _misses_devices(self, node: Node) -> bool:
        """Whether a message to a person is sealed for fewer devices than this person has."""
        chat, participants = node.jid("to"), node.child("participants")
        account = self._world.directory.find(chat)
        if chat.has_authors or participants is None or account is None:
            return False
        sealed = {each.jid("jid").device for each in participants.children() if each.jid("jid").number == chat.number}
        return not sealed.issuperset(account.companions)

    async def _spread(self, companion: Companion, node: Node) -> None:
        chat, shared = node.jid("to"), list(node.all("enc"))
        for_device: dict[tuple[str, int], list[Node]] = defaultdict(list)
        participants = node.child("participants")
        for target in participants.children() if participants else []:
            jid = target.jid("jid")
            for_device[jid.number, jid.device] += target.all("enc")
        if (only := node.attrs.get("participant")) is not None and isinstance(only, JID):
            # Sent again, because this device asked for it.
            for_device[only.number, only.device] += shared
        elif chat.is_group:
            for number in self._members(chat):
                for device in (0, *self._world.account(number).companions):
                    for_device[number, device] += shared
        elif chat.has_authors:
            # A status: the device chooses the readers, and names them by sealing the key for each.
            for envelopes in for_device.values():
                envelopes += shared
        elif shared:
            for_device[chat.number, chat.device] += shared
        for_device.pop((companion.number, companion.device), None)
        for (number, device), envelopes in for_device.items():
            if device == 0:
                await self._to_phone(companion, number, chat, node, envelopes)
            else:
                await self._to_companion(companion, phone_jid(number, device), chat, node, envelopes)

    async def _to_phone(self, sender: Companion, number: str, chat: JID, node: Node, envelopes: list[Node]) -> None:
        phone = self._world.account(number).phone
        read = phone.read(sender.jid, chat, node.text("id"), self._world.now_s(), envelopes)
        if read and phone.sends_receipts:
            # A phone also tells its own devices that it has what they wrote.
            kind = "sender" if number == sender.number else ""
            await self.phone_marks(number, phone.jid if kind else chat, sender.number, node.text("id"), kind)

    async def _to_companion(self, sender: Companion, target: JID, chat: JID, node: Node, envelopes: list[Node]) -> None:
        reader = self._world.directory.companion(target)
        if reader is None:
            return
        attrs: dict[str, Attr] = {"id": node.text("id"), "t": self._world.now_s(), "type": node.text("type")}
        attrs["notify"] = self._world.account(sender.number).phone.name
        if chat.has_authors:
            attrs |= {"from": chat, "participant": sender.jid, "participant_lid": sender.lid, "addressing_mode": "pn"}
        elif reader.number == sender.number:
            attrs |= {"from": sender.jid, "recipient": chat}
        else:
            attrs |= {"from": sender.jid, "sender_lid": sender.lid}
        if f"{reader.number}:{reader.device}" in self._world.faults.spoiled:
            envelopes = [each if each.text("count") else _spoiled(each) for each in envelopes]
        await self.deliver(reader, Node("message", attrs, envelopes))

    async def _receipt(self, connection: Connection, companion: Companion, node: Node) -> None:
        ids = [node.text("id"), *(item.text("id") for item in (node.child("list") or Node("")).children())]
        kind = node.text("type") or "delivered"
        author = node.attrs.get("participant", node.attrs.get("to", SERVER))
        phone = self._world.account(author.number).phone if isinstance(author, JID) else None
        for message_id in ids:
            if phone is not None:
                phone.marks.setdefault(message_id, []).append(kind)
            if kind != "retry":
                companion.queue.settle(f"message:{message_id}")
        ack: dict[str, Attr] = {"class": "receipt", "id": node.text("id"), "from": node.attrs.get("to", SERVER)}
        if node.text("type"):
            ack["type"] = node.text("type")
        await connection.send(Node("ack", ack))
        if kind == "retry" and isinstance(author, JID) and author.device:
            await self._ask_again(companion, author, node)
        elif kind == "retry" and phone is not None and ids[0] in phone.written:
            self._world.stats["repeats asked"] += 1
            again = int(node.need("retry").text("count") or 1)
            await self._hand_over(self._world.account(phone.number), companion, phone.written[ids[0]], again)

    async def _ask_again(self, reader: Companion, author: JID, node: Node) -> None:
        """A device asks another device, which wrote a message, to send it again."""
        asked = self._world.directory.companion(author)
        if asked is None:
            return
        self._world.stats["repeats asked"] += 1
        self._world.stats[f"repeats asked by {reader.number}:{reader.device}"] += 1
        chat = node.jid("to")
        attrs: dict[str, Attr] = {"id": node.text("id"), "t": self._world.now_s(), "type": "retry"}
        attrs |= {"from": chat, "participant": reader.jid} if chat.has_authors else {"from": reader.jid}
        if (recipient := node.attrs.get("recipient")) is not None:
            attrs["recipient"] = recipient
        await self.deliver(asked, Node("receipt", attrs, node.children()))


def _spoiled(envelope: Node) -> Node:
    """Cannot be opened, wherever it is from."""
    data = envelope.data()
    at = len(data) // 2
    return Node("enc", envelope.attrs, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


async def drop_all(world: World, number: str = "") -> int:
    """Close the sockets of a number (or of everybody) without a word. Returns how many there were."""
    doomed = [one for one in world.connections if not number or one.number == number]
    await asyncio.gather(*(one.close() for one in doomed))
    return len(doomed)

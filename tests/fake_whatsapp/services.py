"""Answers to the queries (`iq`) of a device: prekeys, who exists, groups, media hosts, pings, unlinking."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from tests.fake_whatsapp import device_notices, group_notices
from tests.fake_whatsapp.accounts import Companion, Group
from tests.fake_whatsapp.connection import Connection
from tests.fake_whatsapp.jid import JID, SERVER, lid_jid, phone_jid
from tests.fake_whatsapp.media import HOST
from tests.fake_whatsapp.nodes import Attr, Node
from tests.fake_whatsapp.pairing import Pairing
from tests.fake_whatsapp.people import PeopleServices
from tests.fake_whatsapp.signal_session import Bundle
from tests.fake_whatsapp.world import World

Answer = list[Node] | None


# What a query calls a setting of a group, and what it makes of it.
SETTINGS = {
    "announcement": ("announcement", True),
    "not_announcement": ("announcement", False),
    "locked": ("locked", True),
    "unlocked": ("locked", False),
}


class NoAnswer(Exception):
    """The server says nothing at all."""


class Services:
    """One method per namespace; what is not known is answered with an empty result."""

    def __init__(self, world: World, pairing: Pairing) -> None:
        self._world = world
        self._pairing = pairing
        self._people = people = PeopleServices(world)
        self._by_namespace: dict[str, Callable[[Connection, Node], Awaitable[Answer]]] = {
            "encrypt": self._encrypt,
            "usync": self._usync,
            "w:p": self._ping,
            "w:m": self._media,
            "w:g2": self._groups,
            "md": self._devices,
            "privacy": self._privacy,
            "w:profile:picture": people.picture,
            "status": people.status,
            "w:mex": people.mex,
            "blocklist": people.blocklist,
            "w:sync:app:state": people.app_state,
        }

    async def handle(self, connection: Connection, node: Node) -> None:
        """Answer one query, or take an answer to one of ours."""
        if node.text("type") in ("result", "error"):
            if node.child("pair-device-sign"):
                self._world.stats["paired"] += 1
                await connection.stream_error({"code": "515"})
            return
        namespace = node.text("xmlns")
        self._world.stats[f"iq {namespace}"] += 1
        attrs: dict[str, Attr] = {"from": node.attrs.get("to", SERVER), "id": node.text("id")}
        service = self._by_namespace.get(namespace)
        try:
            answer = await service(connection, node) if service else None
        except NoAnswer:
            return
        except LookupError as error:
            refusal = Node("error", {"code": 404, "text": f"item-not-found {error}"})
            await connection.send(Node("iq", {**attrs, "type": "error"}, [refusal]))
            return
        await connection.send(Node("iq", {**attrs, "type": "result"}, answer))

    async def _ping(self, connection: Connection, _: Node) -> Answer:
        if self._world.faults.hits(self._world.faults.ignore_pings, connection.number):
            self._world.stats["pings ignored"] += 1
            raise NoAnswer
        return None

    async def _privacy(self, _: Connection, __: Node) -> Answer:
        return [Node("privacy")]

    async def _media(self, _: Connection, __: Node) -> Answer:
        attrs: dict[str, Attr] = {"auth": "test", "ttl": 3600, "auth_ttl": 3600, "max_buckets": 12}
        return [Node("media_conn", {**attrs}, [Node("host", {"hostname": HOST})])]

    async def _devices(self, connection: Connection, node: Node) -> Answer:
        first = node.children()[0]
        if first.tag == "remove-companion-device":
            self._world.stats["unlinked"] += 1
            gone = self._world.account(connection.number).unlink(
                connection.companion.device if connection.companion else 0
            )
            if gone is not None:
                await device_notices.unlinked(self._world, gone)
        elif first.text("stage") == "companion_hello":
            return [await self._pairing.companion_hello(connection, first)]
        elif first.text("stage") == "companion_finish":
            self._pairing.companion_finish(first)
        return None

    # --- keys ---

    async def _encrypt(self, connection: Connection, node: Node) -> Answer:
        companion = connection.companion
        wanted = node.child("key")
        if wanted is not None:
            return [Node("list", {}, [self._bundle(user.jid("jid")) for user in wanted.children()])]
        if companion is None:
            return None
        if node.child("count"):
            return [Node("count", {"value": max(self._world.announced_prekeys, len(companion.prekeys))})]
        uploaded = node.child("list")
        if uploaded is not None:
            for key in uploaded.children():
                companion.prekeys.append((int.from_bytes(key.need("id").data(), "big"), key.need("value").data()))
            signed = node.need("skey")
            number = int.from_bytes(signed.need("id").data(), "big")
            companion.signed_prekey = (number, signed.need("value").data(), signed.need("signature").data())
        return None

    def _bundle(self, jid: JID) -> Node:
        account = self._world.directory.find(jid)
        companion = self._world.directory.companion(jid) if jid.device else None
        if account is None or (jid.device and companion is None):
            return Node("user", {"jid": jid}, [Node("error", {"code": 404, "text": "item-not-found"})])
        if companion is not None:
            return _bundle_node(jid, companion.take_bundle(), companion.signed_prekey[2])
        return _bundle_node(jid, account.phone.bundle(), account.phone.keys.signature)

    # --- who exists ---

    async def _usync(self, connection: Connection, node: Node) -> Answer:
        usync = node.need("usync")
        query = usync.need("query")
        users = [self._user(connection, query, user) for user in usync.need("list").children()]
        attrs: dict[str, Attr] = {
            "sid": usync.text("sid"),
            "mode": "query",
            "last": "true",
            "index": "0",
            "context": "message",
        }
        return [Node("usync", {**attrs}, [Node("list", {}, users)])]

    def _user(self, connection: Connection, query: Node, user: Node) -> Node:
        jid = user.attrs.get("jid")
        if not isinstance(jid, JID):
            contact = user.child("contact")
            jid = phone_jid(re.sub(r"\D", "", contact.data().decode() if contact else ""))
        account = self._world.directory.find(jid)
        children = []
        if query.child("contact"):
            asked = user.child("contact")
            kind = {"type": "in" if account else "out"}
            children.append(Node("contact", {**kind}, asked.data() if asked is not None else None))
        if account is not None and query.child("lid"):
            children.append(Node("lid", {"val": lid_jid(account.number)}))
        if account is not None:
            children += self._people.user_parts(query, account.number)
        if account is not None and query.child("devices"):
            account.asked_by.add(connection.number)
            devices = [Node("device", {"id": number}) for number in (0, *account.companions)]
            children.append(Node("devices", {}, [Node("device-list", {}, devices)]))
        return Node("user", {"jid": jid}, children)

    # --- groups ---

    async def _groups(self, connection: Connection, node: Node) -> Answer:
        groups = self._world.directory.groups
        created = node.child("create")
        if created is not None:
            members = [connection.number, *(child.jid("jid").number for child in created.all("participant"))]
            group = Group(self._world.new_id("1203").replace("-", ""), created.text("subject"), members)
            groups[group.id] = group
            for number in members:
                await group_notices.joined(self._world, group, connection.number, number, _group_node(group))
            return [_group_node(group)]
        if node.child("participating"):
            mine = [_group_node(group) for group in groups.values() if connection.number in group.members]
            return [Node("groups", {}, mine)]
        if (
            (invitation := node.child("invite")) is not None
            and node.jid("to").server == "g.us"
            and not node.jid("to").user
        ):
            if node.text("type") == "get":
                return [_group_node(self._invited(invitation.text("code")))]
            return [await self._join(connection, invitation.text("code"))]
        if (leaving := node.child("leave")) is not None:
            for child in leaving.children():
                left = groups[child.jid("id").user]
                left.members.remove(connection.number)
                await group_notices.members(self._world, left, connection.number, "remove", [connection.number])
            return [Node("leave", {}, [Node("group", {"id": child.attrs["id"]}) for child in leaving.children()])]
        group = groups[node.jid("to").user]
        if node.child("membership_approval_requests") is not None:
            asked = [
                Node("membership_approval_request", {"jid": phone_jid(number), "request_time": group.created})
                for number in group.requests
            ]
            return [Node("membership_approval_requests", {}, asked)]
        for action in ("add", "remove", "promote", "demote"):
            if (change := node.child(action)) is not None:
                changed = [self._member(group, action, child.jid("jid")) for child in change.children()]
                done = [each.jid("jid").number for each in changed if not each.text("error")]
                await group_notices.members(self._world, group, connection.number, action, done)
                return [Node(action, {}, changed)]
        return await self._group_setting(connection, group, node) or [_group_node(group)]

    async def _join(self, connection: Connection, code: str) -> Node:
        group, number = self._invited(code), connection.number
        if number not in group.members:
            group.members.append(number)
            await group_notices.joined(self._world, group, number, number, _group_node(group))
        return Node("group", {"jid": JID(group.id, "g.us")})

    def _invited(self, code: str) -> Group:
        found = next((group for group in self._world.directory.groups.values() if group.invite == code), None)
        if found is None:
            raise LookupError(code)
        return found

    def _member(self, group: Group, action: str, jid: JID) -> Node:
        account = self._world.directory.find(jid)
        attrs: dict[str, Attr] = {"jid": jid}
        if account is None or (account.number in group.members) is (action == "add"):
            return Node("participant", {**attrs, "error": "409" if account else "404"})
        if action == "add":
            group.members.append(account.number)
        elif action == "remove":
            group.members.remove(account.number)
        elif action == "promote":
            group.admins.add(account.number)
        else:
            group.admins.discard(account.number)
        return Node("participant", {**attrs, "type": "admin"} if account.number in group.admins else attrs)

    async def _group_setting(self, connection: Connection, group: Group, node: Node) -> Answer:
        by = connection.number
        if (subject := node.child("subject")) is not None:
            group.subject = subject.data().decode()
            await group_notices.setting(self._world, group, by, "subject", group.subject)
        elif (description := node.child("description")) is not None:
            body = description.child("body")
            group.description = body.data().decode() if body is not None else ""
            await group_notices.setting(self._world, group, by, "description", group.description)
        elif (named := next((name for name in SETTINGS if node.child(name) is not None), None)) is not None:
            setting, value = SETTINGS[named]
            group.settings[setting] = value
            await group_notices.setting(self._world, group, by, named)
        elif node.child("invite") is not None:
            if node.text("type") == "set":
                group.invite = f"{group.id}x{self._world.new_id('i')}"
            return [Node("invite", {"code": group.invite})]
        else:
            return None
        return []


def _group_node(group: Group) -> Node:
    attrs: dict[str, Attr] = {
        "id": group.id,
        "creator": phone_jid(group.members[0]),
        "creation": group.created,
        "subject": group.subject,
        "s_t": group.created,
        "s_o": phone_jid(group.members[0]),
        "addressing_mode": "pn",
        "size": len(group.members),
    }
    members = []
    for index, number in enumerate(group.members):
        member: dict[str, Attr] = {"jid": phone_jid(number), "lid": lid_jid(number), "phone_number": phone_jid(number)}
        if index == 0:
            member["type"] = "superadmin"
        elif number in group.admins:
            member["type"] = "admin"
        members.append(Node("participant", member))
    members += [Node(name) for name, is_set in group.settings.items() if is_set]
    if group.description:
        members.append(Node("description", {"id": "d1"}, [Node("body", {}, group.description.encode())]))
    return Node("group", attrs, members)


def _bundle_node(jid: JID, bundle: Bundle, signature: bytes) -> Node:
    children = [
        Node("registration", {}, bundle.registration_id.to_bytes(4, "big")),
        Node("type", {}, b"\x05"),
        Node("identity", {}, bundle.identity),
        _key_node("skey", bundle.signed_prekey_id, bundle.signed_prekey, signature),
    ]
    if bundle.prekey is not None:
        children.append(_key_node("key", bundle.prekey_id or 0, bundle.prekey))
    return Node("user", {"jid": jid}, children)


def _key_node(tag: str, number: int, value: bytes, signature: bytes = b"") -> Node:
    children = [Node("id", {}, number.to_bytes(3, "big")), Node("value", {}, value)]
    return Node(tag, {}, [*children, Node("signature", {}, signature)] if signature else children)


def low_on_prekeys(world: World, companion: Companion) -> Node:
    """The notification that asks a device for more prekeys."""
    attrs: dict[str, Attr] = {"from": SERVER, "type": "encrypt", "id": world.new_id("notify"), "t": world.now_s()}
    return Node("notification", {**attrs}, [Node("count", {"value": len(companion.prekeys)})])

"""What the server knows of people besides their keys: profiles, blocklists, presence, calls, and the state that the
devices of an account share."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict

from neonize.proto.waServerSync import WAWebProtobufsServerSync_pb2 as sync

from tests.fake_whatsapp.accounts import Profile, picture_id
from tests.fake_whatsapp.channels import refusal
from tests.fake_whatsapp.connection import Connection
from tests.fake_whatsapp.jid import JID, lid_jid, phone_jid
from tests.fake_whatsapp.nodes import Attr, Node
from tests.fake_whatsapp.world import World

PICTURES = "https://pps.example.com/"


class PeopleServices:
    """The queries of devices about profiles, blocks and shared state."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _own(self, connection: Connection) -> Profile:
        return self._world.account(connection.number).profile

    async def status(self, connection: Connection, _: Node) -> list[Node]:
        """Who may see the statuses of an account."""
        kind, numbers = self._own(connection).status_privacy
        users = [Node("user", {"jid": phone_jid(number)}) for number in numbers]
        return [Node("privacy", {}, [Node("list", {"type": kind, "default": "true"}, users)])]

    async def mex(self, connection: Connection, node: Node) -> list[Node]:
        """A query in GraphQL: it sets the text of the profile, or is about channels."""
        query = node.need("query")
        variables = json.loads(query.data())["variables"]
        if "text" in variables.get("input", {}):
            self._own(connection).about = variables["input"]["text"]
            return [Node("result", {}, json.dumps({"data": {}}).encode())]
        try:
            found = self._world.channels.answer(connection.number, query.text("query_id"), variables)
        except LookupError:
            return [Node("result", {}, refusal())]
        return [Node("result", {}, json.dumps({"data": found}).encode())]

    async def picture(self, connection: Connection, node: Node) -> list[Node]:
        picture = node.need("picture")
        group = self._world.directory.groups.get(node.jid("target").user) if "target" in node.attrs else None
        if node.text("type") == "set" and group is not None:
            group.picture = picture.data()
            return [Node("picture", {"id": picture_id(group.picture)})]
        if node.text("type") == "set":
            own = self._own(connection)
            own.picture = picture.data()
            return [Node("picture", {"id": own.picture_id})]
        target = node.attrs.get("target")
        account = self._world.directory.find(target) if isinstance(target, JID) else None
        shown = group.picture if group is not None else account.profile.picture if account is not None else b""
        if not shown:
            raise LookupError("picture")
        found = picture_id(shown)
        return [
            Node(
                "picture",
                {"id": found, "type": picture.text("type"), "url": f"{PICTURES}{found}", "direct_path": f"/{found}"},
            )
        ]

    async def blocklist(self, connection: Connection, node: Node) -> list[Node]:
        blocked = self._own(connection).blocked
        if (item := node.child("item")) is not None:
            number = item.jid("jid").number
            (blocked.add if item.text("action") == "block" else blocked.discard)(number)
        items = [Node("item", {"jid": phone_jid(number)}) for number in sorted(blocked)]
        return [Node("list", {"dhash": hashlib.sha256("".join(sorted(blocked)).encode()).hexdigest()[:8]}, items)]

    async def app_state(self, connection: Connection, node: Node) -> list[Node]:
        """Keeps the patches of each collection, and gives those that a device does not have."""
        collections = []
        for asked in node.need("sync").children():
            name, patches = asked.text("name"), self._own(connection).patches[asked.text("name")]
            known = int(asked.text("version") or 0)
            if (given := asked.child("patch")) is not None:
                patch = sync.SyncdPatch.FromString(given.data())
                patch.version.version = len(patches) + 1
                patches.append(patch.SerializeToString())
                self._world.stats[f"app state {name}"] += 1
            newer = [Node("patch", {}, patch) for patch in patches[known:]]
            attrs: dict[str, Attr] = {"name": name, "version": len(patches)}
            collections.append(Node("collection", attrs, [Node("patches", {}, newer)] if newer else []))
        return [Node("sync", {}, collections)]

    def user_parts(self, query: Node, number: str) -> list[Node]:
        """The parts of an answer about one user that a profile has."""
        profile, parts = self._world.account(number).profile, []
        if query.child("status"):
            parts.append(Node("status", {}, profile.about.encode()))
        if query.child("picture") and profile.picture:
            parts.append(Node("picture", {"id": profile.picture_id}))
        return parts


class Presences:
    """Who follows whom, and the calls."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._followers: dict[str, set[str]] = defaultdict(set)

    def forget(self) -> None:
        self._followers.clear()

    async def handle(self, connection: Connection, node: Node) -> None:
        """A `presence` or `call` stanza of a device."""
        profile = self._world.account(connection.number).profile
        if node.tag == "call":
            reject = node.child("reject")
            if reject is not None:
                profile.rejected.append({"call": reject.text("call-id"), "to": str(node.jid("to"))})
            return
        if node.text("type") == "subscribe":
            self._followers[node.jid("to").number].add(connection.number)
        else:
            profile.presence = node.text("type")

    async def changes(self, number: str, state: str, last_s: int) -> int:
        """A person goes online or offline: the devices of those who follow hear it. Returns how many accounts did."""
        attrs: dict[str, Attr] = {"from": phone_jid(number)}
        if state == "unavailable":
            attrs |= {"type": "unavailable", "last": last_s if last_s else "deny"}
        for follower in self._followers[number]:
            await self._to_devices(follower, Node("presence", attrs))
        return len(self._followers[number])

    async def call(self, caller: str, callee: str, call_id: str, *, video: bool, by_lid: bool) -> None:
        """A person calls."""
        creator = lid_jid(caller) if by_lid else phone_jid(caller)
        attrs: dict[str, Attr] = {"from": creator, "id": self._world.new_id("call"), "t": self._world.now_s()}
        offer: dict[str, Attr] = {"call-id": call_id, "call-creator": creator}
        if by_lid:
            offer["caller_pn"] = phone_jid(caller)
        media = [Node("audio", {"enc": "opus", "rate": "8000"}), *([Node("video", {"enc": "vp8"})] if video else [])]
        await self._to_devices(callee, Node("call", attrs, [Node("offer", offer, media)]))

    async def _to_devices(self, number: str, node: Node) -> None:
        for companion in self._world.account(number).companions.values():
            if companion.connection is not None:
                await companion.connection.send(node)

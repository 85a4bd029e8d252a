"""The control API: one POST with `{"op": …}` per deed, so that tests and benchmarks can drive a server in a process of its own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any

from aiohttp import web

from tests.fake_whatsapp import content, group_notices
from tests.fake_whatsapp.accounts import Group
from tests.fake_whatsapp.content import Content
from tests.fake_whatsapp.faults import Faults
from tests.fake_whatsapp.jid import GROUP_SERVER, JID, group_jid, phone_jid
from tests.fake_whatsapp.media import MEDIA_KEYS, MediaError
from tests.fake_whatsapp.nodes import Node
from tests.fake_whatsapp.pairing import PairingError
from tests.fake_whatsapp.server import FakeWhatsApp
from tests.fake_whatsapp.shared_state import CONTACTS, StateKey, contacts

Body = dict[str, Any]


def chat_of(name: str) -> JID:
    """`…@g.us` is a group, digits are a number."""
    user, _, server = name.partition("@")
    return group_jid(user) if server == GROUP_SERVER else phone_jid(user)


class Control:
    """Every public method is one op; its arguments are the other keys of the body."""

    def __init__(self, server: FakeWhatsApp) -> None:
        self._server = server
        self._world = server.world
        self._floods: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=128 * 1024 * 1024)
        app.router.add_post("/", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        body: Body = await request.json()
        name = str(body.pop("op", ""))
        deed: Callable[..., Awaitable[Any]] | None = None if name.startswith("_") else getattr(self, name, None)
        if deed is None:
            return web.json_response({"error": f"no op {name!r}"}, status=404)
        try:
            return web.json_response(await deed(**body))
        except (PairingError, MediaError, LookupError, ValueError, TypeError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=409)

    # --- the server itself ---

    async def reset(self) -> None:
        """A clean server for the next test."""
        for task in self._floods:
            task.cancel()
        await self._world.reset()
        self._server.router.presences.forget()

    async def stats(self) -> Body:
        online = self._world.directory.online()
        owed = sum(
            len(device.queue)
            for account in self._world.directory.accounts.values()
            for device in account.companions.values()
        )
        return {
            **self._world.stats,
            "online": len(online),
            "owed": owed,
            "proxy": dict(self._server.proxy.counts),
            "uploads": self._world.media.uploads,
            "downloads": self._world.media.downloads,
        }

    async def versions(
        self,
        minimum: int | None = None,
        refused: list[int] | None = None,
        published: int | None = None,
        page: str | None = None,
    ) -> Body:
        """Set what is given (see `Versions`); returns what is so now."""
        versions = self._world.versions
        versions.minimum = versions.minimum if minimum is None else minimum
        versions.refused = versions.refused if refused is None else set(refused)
        versions.published = versions.published if published is None else published
        versions.page = versions.page if page is None else page
        return {
            "builtin": versions.builtin,
            "announced": {str(build): count for build, count in versions.announced.items()},
            "refusals": {str(build): count for build, count in versions.refusals.items()},
            "looks": versions.looks,
        }

    async def options(self, qr_codes: int | None = None, announced_prekeys: int | None = None) -> None:
        if qr_codes is not None:
            self._world.qr_codes = qr_codes
        if announced_prekeys is not None:
            self._world.announced_prekeys = announced_prekeys

    async def faults(self, **values: Any) -> None:
        """Set faults by the names of `Faults`; lists stand for sets. Everything else stays as it is."""
        known = {field.name for field in fields(Faults)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"no fault {name!r}")
            setattr(self._world.faults, name, set(value) if isinstance(value, list) else value)

    async def hush(self, number: str) -> None:
        """One-way silence of the connections that stand now: the next login is healthy."""
        for companion in self._world.account(number).companions.values():
            if companion.connection is not None:
                companion.connection.silent = True

    async def heal(self) -> None:
        """No more faults; what was held back is delivered."""
        healthy = Faults()
        for field in fields(Faults):
            setattr(self._world.faults, field.name, getattr(healthy, field.name))
        await self._server.resume()

    # --- accounts and pairing ---

    async def account(self, number: str) -> Body:
        """What the server knows of a number; made when it is new. Times are seconds of its monotonic clock."""
        account = self._world.account(number)
        return {
            "companions": sorted(account.companions),
            "online": sum(device.connection is not None for device in account.companions.values()),
            "owed": sum(len(device.queue) for device in account.companions.values()),
            "logins": account.logins,
            "build": account.build,
            "attempts": account.attempts,
        }

    async def scan(self, code: str, number: str) -> None:
        await self._server.pairing.scan(code, number)

    async def type_code(self, number: str, code: str) -> None:
        await self._server.pairing.type_code(number, code)

    async def unlink(self, number: str) -> int:
        """The phone removes all its companions: each gets `device_removed` and cannot log in again."""
        ended = await self._server.stream_error(number, {"code": "401"}, "device_removed")
        self._world.account(number).companions.clear()
        return ended

    async def group(self, id: str, subject: str, members: list[str]) -> str:
        for number in members:
            self._world.account(number)
        self._world.directory.groups[id] = Group(id, subject, members)
        return str(group_jid(id))

    # --- phones ---

    async def send(self, sender: str, chat: str, kind: str = "text", id: str | None = None, **parts: Any) -> str:
        """A phone sends: kind text, reply, reaction, location, contact, a kind of media, or raw (a protobuf in
        base64). Returns the message's id."""
        message = self._content(kind, parts)
        return await self._server.router.phone_sends(sender, chat_of(chat), message, id)

    async def status(self, sender: str, readers: list[str], kind: str = "text", **parts: Any) -> str:
        """A phone posts a status, of the kinds of `send`."""
        return await self._server.router.phone_posts(sender, readers, self._content(kind, parts))

    async def flood(self, sender: str, chats: list[str], count: int, per_second: float = 0) -> list[str]:
        """`count` texts from one phone to each chat; returns their ids at once and goes on sending (0 = as fast as possible)."""
        ids = [self._world.new_message_id() for _ in range(count * len(chats))]
        task = asyncio.create_task(self._flood(sender, chats, ids, per_second))
        self._floods.add(task)
        task.add_done_callback(self._floods.discard)
        return ids

    async def _flood(self, sender: str, chats: list[str], ids: list[str], per_second: float) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for index, message_id in enumerate(ids):
            if per_second:
                await asyncio.sleep(max(0.0, begin + index / per_second - loop.time()))
            elif index % 20 == 0:
                await asyncio.sleep(0)
            message = content.text(f"{loop.time():.6f} flood {index}")
            await self._server.router.phone_sends(sender, chat_of(chats[index % len(chats)]), message, message_id)

    async def flooding(self) -> int:
        """How many floods are still under way."""
        return len(self._floods)

    async def types(self, number: str, chat: str, state: str = "composing") -> None:
        await self._server.router.phone_types(number, chat_of(chat), state)

    async def share_keys(self, number: str) -> None:
        """The phone gives its devices a key for the state that they share, as phones do after a pairing."""
        await self.send(number, number, "raw", message=StateKey().shared())

    async def share_contacts(self, number: str, names: dict[str, str]) -> None:
        """The phone gives its devices its address book, and the key for it; once."""
        key, patches = StateKey(), self._world.account(number).profile.patches[CONTACTS]
        if patches:
            raise ValueError("the contacts are shared already")
        patches.append(contacts(key, {str(phone_jid(each)): name for each, name in names.items()}))
        await self.send(number, number, "raw", message=key.shared())

    async def status_privacy(self, number: str, kind: str, numbers: list[str]) -> None:
        """Who sees the statuses of a number: `contacts`, or those in or not in a list (`whitelist`, `blacklist`)."""
        self._world.account(number).profile.status_privacy = (kind, numbers)

    async def presence(self, number: str, state: str = "available", last_s: int = 0) -> int:
        """A person goes online or offline; returns how many accounts follow this person."""
        return await self._server.router.presences.changes(number, state, last_s)

    async def call(self, caller: str, callee: str, id: str, video: bool = False, by_lid: bool = False) -> None:
        await self._server.router.presences.call(caller, callee, id, video=video, by_lid=by_lid)

    async def profile(self, number: str, about: str | None = None, picture: str | None = None) -> Body:
        """What an account shows; sets what is given. ``picture`` is base64."""
        profile = self._world.account(number).profile
        profile.about = profile.about if about is None else about
        profile.picture = profile.picture if picture is None else base64.b64decode(picture)
        return {
            "about": profile.about,
            "picture": base64.b64encode(profile.picture).decode(),
            "presence": profile.presence,
            "blocked": sorted(profile.blocked),
            "rejected": profile.rejected,
            "patches": {name: len(patches) for name, patches in profile.patches.items()},
        }

    async def open_channel(self, owner: str, name: str) -> Body:
        """A person makes a channel."""
        made = self._world.channels.open(owner, name)
        return {"id": made.jid, "invite": made.invite}

    async def join_request(self, group: str, number: str) -> None:
        """A person asks to be let into a group."""
        self._world.directory.groups[chat_of(group).user].requests.append(number)

    async def group_change(
        self, group: str, by: str, change: str, members: list[str] | None = None, text: str = "", by_lid: bool = False
    ) -> None:
        """Another member changes a group; `change` is `add`, `remove`, `promote`, `demote`, `subject`, `description`
        or the name of a setting."""
        found = self._world.directory.groups[chat_of(group).user]
        for number in members or []:
            self._world.account(number)
            if change == "add":
                found.members.append(number)
            elif change == "remove":
                found.members.remove(number)
        if members is not None:
            await group_notices.members(self._world, found, by, change, members, by_lid=by_lid)
        else:
            await group_notices.setting(self._world, found, by, change, text)

    async def group_notice(self, group: str, by: str, nodes: list[list[Any]]) -> None:
        """A notice with any parts: `[tag, attributes, parts or text]` each."""
        found = self._world.directory.groups[chat_of(group).user]
        await group_notices.raw(self._world, found, by, [_node(*each) for each in nodes], found.members)

    async def mark(self, number: str, chat: str, author: str, id: str, kind: str = "read") -> None:
        """A phone marks a message of `author` as `read` or `played`; `chat` is the number itself or a group."""
        await self._server.router.phone_marks(number, chat_of(chat), author, id, kind)

    async def quiet(self, number: str, sends_receipts: bool = False) -> None:
        """Whether this phone tells that messages reached it."""
        self._world.account(number).phone.sends_receipts = sends_receipts

    async def spoil(self, number: str, spoils: bool = True) -> None:
        """Whether nothing that this phone writes can be read, however often it is asked again."""
        self._world.account(number).phone.spoils = spoils

    async def hide(self, number: str) -> None:
        """From now on the chats of this phone name it by its hidden address (LID)."""
        self._world.account(number).phone.hidden = True

    async def inbox(self, number: str) -> list[Body]:
        return self._world.account(number).phone.inbox

    async def phone(self, number: str) -> Body:
        """Everything a phone saw besides messages."""
        phone = self._world.account(number).phone
        return {"marks": phone.marks, "typing": phone.typing, "unreadable": phone.unreadable}

    async def file(self, kind: str, path: str, key: str) -> str:
        """A file that a phone received, in base64."""
        return base64.b64encode(self._world.media.read(kind, path, bytes.fromhex(key))).decode()

    async def upload(self, kind: str, data: str, mime_type: str) -> str:
        """Puts a file on the media host; returns the part of a message that names it, a protobuf in base64."""
        message = content.media(kind, self._world.media.put(kind, base64.b64decode(data), mime_type))
        return base64.b64encode(getattr(message, f"{kind}Message").SerializeToString()).decode()

    def _content(self, kind: str, parts: Body) -> Content:
        if kind in MEDIA_KEYS:
            plain = base64.b64decode(parts.pop("data"))
            file = self._world.media.put(kind, plain, parts.pop("mime_type", "application/octet-stream"))
            return content.media(kind, file, **parts)
        makers: dict[str, Callable[..., Content]] = {
            "raw": lambda message: content.parse(base64.b64decode(message)),
            "text": content.text,
            "reply": content.reply,
            "reaction": content.reaction,
            "location": content.location,
            "contact": content.contact,
        }
        return makers[kind](**parts)

    # --- what the server does to devices ---

    async def stream_error(self, number: str, attrs: dict[str, str], conflict: str | None = None) -> int:
        return await self._server.stream_error(number, attrs, conflict)

    async def drop(self, number: str = "") -> int:
        return await self._server.drop(number)


def _node(tag: str, attrs: dict[str, Any] | None = None, parts: list[list[Any]] | str | None = None) -> Node:
    """A value of `attrs` with `@` is an address."""
    known = {name: chat_of(value) if "@" in str(value) else value for name, value in (attrs or {}).items()}
    if isinstance(parts, str):
        return Node(tag, known, parts.encode())
    return Node(tag, known, [_node(*each) for each in parts] if parts is not None else None)

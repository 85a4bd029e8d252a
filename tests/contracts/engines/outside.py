"""The world outside an engine, as a test sees it: phones that scan and write, and a server that misbehaves. One adapter per engine."""

from __future__ import annotations

from typing import Any, Protocol

from bot_service.domain.addresses import STATUS_CHAT
from tests.fake_whatsapp.remote import Remote
from tests.wire.worker_driver import WorkerDriver

BOT, ANN = "15550001", "15550002"
SESSION = "s"


class Outside(Protocol):
    """Everything concerns the one session of the test, whose number is ``BOT``; ``ANN`` is somebody else with a phone."""

    async def scan(self, code: str) -> None: ...

    async def type_code(self, code: str) -> None: ...

    async def write(self, text: str) -> str:
        """Ann writes to the bot; returns the id of the message."""
        ...

    async def texts(self) -> list[str]:
        """What Ann got from the bot, in order."""
        ...

    async def befriend(self) -> None:
        """Ann becomes a contact of the account."""
        ...

    async def statuses(self) -> list[str]:
        """The kinds of what Ann got as statuses of the bot, in order."""
        ...

    async def read(self, own_id: str) -> None:
        """Ann reads a message of the bot."""
        ...

    async def drop(self) -> None: ...

    async def go_silent(self) -> None:
        """The link lives, sends are taken, but nothing is handed over until the session is started anew."""
        ...

    async def unlink(self) -> None:
        """The owner removes the device on his phone."""
        ...

    async def replace(self) -> None: ...

    async def ban(self) -> None: ...

    async def ban_for_an_hour(self) -> None: ...

    async def outdate(self) -> None: ...

    async def refuse(self, code: int) -> None: ...

    async def kill_pump(self) -> None: ...

    async def timelock(self) -> None:
        """The next send is refused because new chats are locked."""
        ...

    async def share_keys(self) -> None:
        """The phone of the session gives its devices the key of what they share."""
        ...

    async def shows_presence(self, state: str) -> None:
        """Ann goes online or offline."""
        ...

    async def changes_group(self, group: str, change: str, members: list[str] | None = None, text: str = "") -> None:
        """Ann changes who is in a group, its `subject`, or that it is `locked`."""

    async def calls(self, call: str, *, video: bool) -> None:
        """Ann calls."""
        ...

    async def rejected(self) -> list[str]:
        """The ids of Ann's calls that the bot rejected."""
        ...

    async def opens_channel(self, name: str) -> tuple[str, str]:
        """Ann makes a channel; returns its JID and the code of its link."""
        ...

    async def asks_to_join(self, group: str) -> None:
        """Ann asks the administrators of a group to let her in."""
        ...

    async def announced(self) -> int:
        """The client build of the last login, whose hash was right at the pairing; 0 for an engine that announces none."""
        ...


class FakeServer:
    """neonize against the fake WhatsApp server."""

    def __init__(self, server: Remote) -> None:
        self._server = server

    async def scan(self, code: str) -> None:
        await self._server("scan", code=code, number=BOT)

    async def type_code(self, code: str) -> None:
        await self._server("type_code", number=BOT, code=code)

    async def write(self, text: str) -> str:
        return str(await self._server("send", sender=ANN, chat=BOT, body=text))

    async def texts(self) -> list[str]:
        return [entry["text"] for entry in await self._server("inbox", number=ANN)]

    async def befriend(self) -> None:
        await self._server("share_contacts", number=BOT, names={ANN: "Ann"})

    async def statuses(self) -> list[str]:
        return [each["kind"] for each in await self._server("inbox", number=ANN) if each["chat"] == STATUS_CHAT]

    async def read(self, own_id: str) -> None:
        last = (await self._server("inbox", number=ANN))[-1]
        await self._server("mark", number=ANN, chat=ANN, author=BOT, id=last["id"], kind="read")

    async def drop(self) -> None:
        await self._server("drop", number=BOT)

    async def go_silent(self) -> None:
        await self._server("hush", number=BOT)

    async def unlink(self) -> None:
        await self._server("unlink", number=BOT)

    async def replace(self) -> None:
        await self._server("stream_error", number=BOT, attrs={}, conflict="replaced")

    async def ban(self) -> None:
        await self._refuse({"reason": "406"})

    async def ban_for_an_hour(self) -> None:
        await self._refuse({"reason": "402", "code": "101", "expire": "3600"})

    async def outdate(self) -> None:
        await self._refuse({"reason": "405"})

    async def refuse(self, code: int) -> None:
        await self._refuse({"reason": str(code)})

    async def kill_pump(self) -> None:
        await self._server("mark", number=ANN, chat=ANN, author=BOT, id="X", kind="server-error")

    async def timelock(self) -> None:
        await self._server("account", number=ANN)
        await self._server("faults", reject_sends={BOT: 463})

    async def share_keys(self) -> None:
        await self._server("share_keys", number=BOT)

    async def shows_presence(self, state: str) -> None:
        async def followed() -> bool:
            return bool(await self._server("presence", number=ANN, state=state, last_s=1_800_000_000))

        await self._server.wait(followed)

    async def calls(self, call: str, *, video: bool) -> None:
        await self._server("call", caller=ANN, callee=BOT, id=call, video=video, by_lid=video)

    async def rejected(self) -> list[str]:
        return [each["call"] for each in (await self._server("profile", number=BOT))["rejected"]]

    async def opens_channel(self, name: str) -> tuple[str, str]:
        made = await self._server("open_channel", owner=ANN, name=name)
        return str(made["id"]), str(made["invite"])

    async def asks_to_join(self, group: str) -> None:
        await self._server("join_request", group=group, number=ANN)

    async def changes_group(self, group: str, change: str, members: list[str] | None = None, text: str = "") -> None:
        await self._server("group_change", group=group, by=ANN, change=change, members=members, text=text)

    async def announced(self) -> int:
        assert "wrong build hashes" not in await self._server("stats")
        return int((await self._server("account", number=BOT))["build"])

    async def _refuse(self, failure: dict[str, str]) -> None:
        await self._server("faults", login_failures={BOT: [failure]}, forever=[BOT])
        await self._server("drop", number=BOT)


class Simulation:
    """The simulator, told what happens by its own actions."""

    def __init__(self, worker: WorkerDriver) -> None:
        self._worker = worker

    async def _do(self, action: str, **args: Any) -> Any:
        return await self._worker.command("simulate", SESSION, action=action, **args)

    async def scan(self, code: str) -> None:
        await self._do("scan", phone=BOT)

    async def type_code(self, code: str) -> None:
        await self._do("enterCode", code=code, phone=BOT)

    async def write(self, text: str) -> str:
        done = await self._do("message", text=text, **{"from": ANN})
        return str(done["messageIds"][0])

    async def texts(self) -> list[str]:
        return [sent["text"] for sent in (await self._do("inbox"))["messages"]]

    async def befriend(self) -> None:
        await self.write("I am a contact")

    async def statuses(self) -> list[str]:
        return [each["type"] for each in (await self._do("inbox"))["messages"] if each["to"] == STATUS_CHAT]

    async def read(self, own_id: str) -> None:
        await self._do("receipt", chat=ANN, messageIds=[own_id], type="read")

    async def drop(self) -> None:
        await self._do("drop")

    async def go_silent(self) -> None:
        await self._do("silence")

    async def unlink(self) -> None:
        await self._do("logout")

    async def replace(self) -> None:
        await self._do("replaced")

    async def ban(self) -> None:
        await self._do("ban")

    async def ban_for_an_hour(self) -> None:
        await self._do("tempBan", seconds=3600, code=101)

    async def outdate(self) -> None:
        await self._do("outdated")

    async def refuse(self, code: int) -> None:
        await self._do("connectRefused", code=code)

    async def kill_pump(self) -> None:
        await self._do("pumpDied")

    async def timelock(self) -> None:
        await self._do("timelock")

    async def share_keys(self) -> None:
        pass

    async def shows_presence(self, state: str) -> None:
        await self._do("presence", state=state, **{"from": ANN})

    async def calls(self, call: str, *, video: bool) -> None:
        await self._do("call", id=call, video=video, **{"from": ANN})

    async def rejected(self) -> list[str]:
        return [each["call"] for each in (await self._do("inbox"))["rejected"]]

    async def opens_channel(self, name: str) -> tuple[str, str]:
        made = await self._do("openChannel", name=name, **{"from": ANN})
        return str(made["id"]), str(made["invite"])

    async def asks_to_join(self, group: str) -> None:
        await self._do("joinRequest", group=group, **{"from": ANN})

    async def changes_group(self, group: str, change: str, members: list[str] | None = None, text: str = "") -> None:
        args: dict[str, Any] = {"members": members, "change": change} if members is not None else {change: text or True}
        await self._do("groupChange", group=group, **{"from": ANN}, **args)

    async def announced(self) -> int:
        return 0

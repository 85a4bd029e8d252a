"""Real clients of Evolution API, unchanged, against the running program: the node for n8n, Apprise, and Uptime Kuma's call."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot_service.dialects.evolution import routes
from tests.dialects.reference import pattern
from tests.support.processes import API_KEY, ROOT, Client, Program, bot
from tests.support.receiver import Receiver
from tests.support.waiting import PATIENCE_S, eventually

CLIENTS = Path(__file__).parent / "clients"
NODE = ROOT / ".venv" / "clients" / "n8n-nodes-evolution-api"
NUMBER, JID, GROUP = "33612345678", "33612345678@s.whatsapp.net", "120363041234567890@g.us"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
SCOPE = {"instanceName": "shop"}
CHAT = SCOPE | {"remoteJid": NUMBER}


class N8n:
    """The node in a process of its own. ``left`` are the operations of the package that were not called yet."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.left: set[tuple[str, str]] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, server: str) -> AsyncIterator[N8n]:
        node = shutil.which("node")
        if node is None or not NODE.exists():
            pytest.skip(
                "needs Node.js and the npm package n8n-nodes-evolution-api (.ci/run installs them by `make clients`)"
            )
        process = await asyncio.create_subprocess_exec(
            node,
            str(CLIENTS / "n8n.js"),
            str(NODE),
            server,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "NODE_PATH": str(CLIENTS / "peers"), "EVOLUTION_KEY": API_KEY},
            limit=2**24,
        )
        client = cls(process)
        try:
            client.left = {(resource, name) for resource, name in await client._line()}
            yield client
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(process.wait(), PATIENCE_S)

    async def call(self, resource: str, operation: str, **parameters: Any) -> list[dict[str, Any]]:
        """What the node asked, and what it got for it."""
        self.left.discard((f"{resource}-api", operation))
        call = {"resource": f"{resource}-api", "operation": operation, "parameters": parameters}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(call).encode() + b"\n")
        found = await self._line()
        assert found["exchange"], f"{resource} {operation}: the node asked nothing: {found['result']}"
        return list(found["exchange"])

    async def ok(self, resource: str, operation: str, **parameters: Any) -> Any:
        """The answer to a call that must succeed."""
        (asked,) = await self.call(resource, operation, **parameters)
        assert 200 <= asked["status"] < 300, asked
        return asked["answer"]

    async def _line(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), PATIENCE_S))


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    program = bot(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0", WEBHOOK_ALLOW_PRIVATE="true")
    async with program.running() as running:
        yield running


async def linked(client: Client, *, create: bool = True) -> None:
    if create:
        await client.post("/api/sessions", {"id": "shop"})
    await eventually(lambda: _shows_code(client), what="a code")
    await client.post("/api/sessions/shop/simulate", {"action": "scan"})
    await eventually(lambda: _is(client, "READY"), what="READY")


async def _shows_code(client: Client) -> bool:
    return (await client.call("GET", "/api/sessions/shop/qr?format=json"))[0] == 200


async def _is(client: Client, state: str) -> bool:
    return bool((await client.get("/api/sessions/shop"))["state"] == state)


async def inbox(client: Client) -> list[dict[str, Any]]:
    """What the simulated people received, the oldest first."""
    answer = await client.post("/api/sessions/shop/simulate", {"action": "inbox"})
    return list(answer["result"]["messages"])


@pytest.mark.long
@pytest.mark.system
async def test_a_flow_of_n8n_works_from_the_first_code_to_the_logout(program: Program) -> None:
    server = program.url + routes.PREFIX
    async with Client(program.url) as client, N8n.running(server) as n8n, Receiver() as receiver:
        await n8n.ok("instances", "instance-basic", **SCOPE)
        webhook = {"resourceForWebhook": "setWebhook", "enabled": True, "webhookUrl": receiver.url}
        await n8n.ok("events", "webhook", **SCOPE, **webhook, webhookEvents=["MESSAGES_UPSERT", "CONNECTION_UPDATE"])
        found = await n8n.ok("events", "webhook", **SCOPE, resourceForWebhook="findWebhook")
        assert (found["url"], found["enabled"]) == (receiver.url, True)
        code = await n8n.ok("instances", "instance-connect", **SCOPE)
        assert code["base64"].startswith("data:image/png;base64,")
        await linked(client, create=False)
        (listed,) = await n8n.ok("instances", "fetch-instances", **SCOPE)
        assert listed["connectionStatus"] == "open"

        text = await n8n.ok("messages", "send-text", **CHAT, messageText="hello", options_message={"delay": 10})
        options = {"quoted": {"messageQuoted": {"messageId": text["key"]["id"]}}, "linkPreview": True}
        await n8n.ok("messages", "send-text", **CHAT, messageText="again", options_message=options)
        image = await n8n.ok("messages", "send-image", **CHAT, media=PNG, mimetype="image/png", caption="see")
        await n8n.ok("messages", "send-video", **CHAT, media=PNG)
        await n8n.ok("messages", "send-audio", **CHAT, media=base64.b64encode(b"OggS").decode())
        await n8n.ok("messages", "send-document", **CHAT, media=PNG)
        contact = [{"fullName": "Ann", "wuid": NUMBER, "phoneNumber": NUMBER, "email": "ann@example.com"}]
        await n8n.ok("messages", "send-contact", **CHAT, **{"contacts.contactValues": contact})
        choices = {"options_display.metadataValues": [{"optionValue": "a"}, {"optionValue": "b"}]}
        await n8n.ok("messages", "send-poll", **CHAT, caption="which?", **choices)
        reaction = {"messageId": text["key"]["id"], "fromMe": True, "reaction": "🚀"}
        await n8n.ok("messages", "send-reaction", **SCOPE, remoteJid=JID, **reaction)
        story = {"type": "text", "content": "Open", "backgroundColor": "#075E54", "allContacts": True}
        await n8n.ok("messages", "send-stories", **SCOPE, **story)
        # The node has no operation for a place: flows send one with n8n's node for HTTP requests.
        assert not [name for _, name in n8n.left if "location" in name]
        place = {"number": NUMBER, "latitude": 48.8584, "longitude": 2.2945, "name": "Shop", "address": "Paris"}
        await client.post(f"{routes.PREFIX}/message/sendLocation/shop", place)
        kinds = [message["type"] for message in await inbox(client)]
        assert kinds == [
            *("text", "text", "image", "video", "audio", "document", "contact", "poll", "reaction", "text", "location")
        ]

        await client.post("/api/sessions/shop/simulate", {"action": "message", "from": NUMBER, "text": "an answer"})
        await eventually(
            lambda: [each for each in receiver.requests if each.json["event"] == "messages.upsert"], what="the answer"
        )
        arrived = receiver.requests[-1].json["data"]
        assert arrived["message"] == {"conversation": "an answer"}
        history = await n8n.ok("chat", "find-messages", **CHAT)
        assert history["messages"]["records"][0]["key"]["id"] == arrived["key"]["id"]
        (chat,) = await n8n.ok("chat", "find-chats", **CHAT, messageId="")
        assert chat["unreadCount"] == 1
        await n8n.ok("chat", "read-messages", **SCOPE, remoteJid=JID, fromMe=False, messageId=arrived["key"]["id"])
        media = await n8n.ok("chat", "get-media-base64", **SCOPE, messageId=image["key"]["id"], convertToMp4=False)
        assert media["base64"] == PNG
        await n8n.ok("chat", "check-number", **SCOPE, numbers=NUMBER)
        await n8n.ok("chat", "send-presence", **CHAT, presence="composing", delay=10)
        await n8n.ok("chat", "fetch-profile-picture", **SCOPE, number=NUMBER)
        await n8n.ok("chat", "update-message", **SCOPE, remoteJid=JID, messageId=text["key"]["id"], text="changed")
        await n8n.ok("chat", "delete-message", **CHAT, messageId=text["key"]["id"], fromMe=True)

        await n8n.ok("chat", "find-contacts", **SCOPE, listAll=True)
        await n8n.ok("chat", "block-contact", **CHAT, status="block")
        await n8n.ok("chat", "block-contact", **CHAT, status="unblock")
        await n8n.ok("profile", "fetch-profile", **CHAT)
        await n8n.ok("profile", "update-profile-name", **SCOPE, name="Shop")
        await n8n.ok("profile", "update-profile-status", **SCOPE, status="open")
        jpeg = base64.b64encode(b"\xff\xd8\xff").decode()
        await n8n.ok("profile", "update-profile-picture", **SCOPE, picture=jpeg)
        await n8n.ok("instances", "set-presence", **SCOPE, presence="available")

        group = {"subject": "Team", "description": "About", "participants": NUMBER}
        made = await n8n.ok("groups", "create-group", **SCOPE, **group)
        jid = {"groupJid": made["id"]}
        await n8n.ok("groups", "update-group-name", **SCOPE, **jid, subject="Team 2")
        await n8n.ok("groups", "update-group-description", **SCOPE, **jid, description="New")
        await n8n.ok("groups", "update-group-picture", **SCOPE, **jid, image=jpeg)
        await n8n.ok("groups", "update-settings", **SCOPE, **jid, action="announcement")
        await n8n.ok("groups", "update-participants", **SCOPE, **jid, action="promote", participants=NUMBER)
        shown = await n8n.ok("groups", "fetch-groups", **SCOPE, **jid, searchMethod="groupJid")
        assert (shown["subject"], shown["announce"]) == ("Team 2", True)
        await n8n.ok("groups", "fetch-groups", **SCOPE, searchMethod="fetchAll", getParticipants=True)
        await n8n.ok("groups", "find-participants", **SCOPE, **jid)
        await n8n.ok("groups", "fetch-invite-code", **SCOPE, **jid)
        await n8n.ok("groups", "revoke-invite-code", **SCOPE, **jid)
        await n8n.ok("groups", "send-invite-link", **SCOPE, **jid, description="Come", numbers=NUMBER)
        (join,) = await n8n.call("groups", "join-group", **SCOPE, inviteCode="DgQvyfXzY01B6rGrpZpYze")
        assert join["status"] in (200, 409)
        await n8n.ok("groups", "leave-group", **SCOPE, **jid)

        await n8n.ok("instances", "instance-settings", **SCOPE, groupsIgnore=True)
        proxy = {"enabled": True, "proxyHost": "127.0.0.1", "proxyPort": "3128", "proxyProtocol": "http"}
        await n8n.ok("instances", "set-proxy", **SCOPE, **proxy, resourceForProxy="setProxy")
        found = await n8n.ok("instances", "set-proxy", **SCOPE, resourceForProxy="findProxy")
        assert (found["host"], found["port"]) == ("127.0.0.1", "3128")
        await n8n.ok("instances", "restart-instance", **SCOPE)
        await eventually(lambda: _is(client, "READY"), what="READY after the restart")
        await n8n.ok("instances", "logout-instance", **SCOPE)
        await n8n.ok("instances", "delete-instance", **SCOPE)
        assert (await client.call("GET", "/api/sessions/shop"))[0] == 404
        await _refused_by_name(n8n)


async def _refused_by_name(n8n: N8n) -> None:
    """All that is left of the package: what this service has not says so."""
    given: dict[str, Any] = SCOPE | {
        "remoteJid": NUMBER,
        "messageId": "AAA",
        "groupJid": GROUP,
        "content": "hi",
        "type": "text",
    }
    given |= {"buttons.buttonValues": [{"type": "reply", "displayText": "a", "id": "1"}], "keyType": "email"}
    given |= {"sections.sectionValues": [{"title": "s", "rows": {"rowValues": [{"title": "r"}]}}]}
    given |= {"resourceForFlowiseBot": "createFlowise"}
    for resource, operation in sorted(n8n.left):
        (asked,) = await n8n.call(resource.removesuffix("-api"), operation, **given)
        assert asked["status"] == 501, asked
        named = asked["answer"]["response"]["message"][0]
        assert any(asked["path"].startswith(routes.PREFIX + known) and known in named for known in routes.NOT_HERE)
    assert not n8n.left


def test_every_path_of_the_node_is_known() -> None:
    """Read from the package's own code, so that no operation of a newer one is left out."""
    if not NODE.exists():
        pytest.skip("needs the npm package n8n-nodes-evolution-api (.ci/run installs them by `make clients`)")
    asked = {
        path
        for file in (NODE / "dist" / "nodes").rglob("execute/**/*.js")
        for path in re.findall(r"uri: `(/[^`?]+)", file.read_text())
    }
    assert len(asked) > 50
    here = [pattern(path) for _, path, *_ in routes.ROUTES]
    unknown = [
        path
        for path in sorted(asked)
        if not path.startswith(tuple(routes.NOT_HERE))
        and not any(
            each.fullmatch(re.sub(r"(?<!/)\$\{.*", "", path).replace("${instanceName}", "shop")) for each in here
        )
    ]
    assert unknown == []


async def notified(address: str) -> bool:
    """Apprise in a process of its own sends a text."""
    code = "import apprise, sys; a = apprise.Apprise(); sys.exit(not (a.add(sys.argv[1]) and a.notify('the shop is down')))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, address)
    return await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


@pytest.mark.system
async def test_notifiers_send(program: Program) -> None:
    async with Client(program.url) as client, aiohttp.ClientSession() as kuma:
        await linked(client)
        # Apprise has no path before its own.
        assert await notified(f"evolution://{API_KEY}@127.0.0.1:{program.port}/shop/{NUMBER}/33687654321")
        assert not await notified(f"evolution://wrong@127.0.0.1:{program.port}/shop/{NUMBER}")
        assert not await notified(f"evolution://{API_KEY}@127.0.0.1:{program.port}/none/{NUMBER}")
        # What Uptime Kuma sends.
        body = {"number": NUMBER, "text": "[Shop] [🔴 Down] timeout"}
        headers = {"apikey": API_KEY, "Accept": "application/json"}
        address = f"{program.url}{routes.PREFIX}/message/sendText/shop"
        async with kuma.post(address, json=body, headers=headers) as answer:
            assert (answer.status, (await answer.json())["status"]) == (201, "PENDING")
        sent = [(message["to"], message["text"]) for message in await inbox(client)]
        assert sorted(sent[:2]) == [(JID, "the shop is down"), ("33687654321@s.whatsapp.net", "the shop is down")]
        assert sent[2:] == [(JID, body["text"])]


@pytest.mark.deep
@pytest.mark.system
async def test_a_message_that_was_answered_with_pending_survives_a_kill(program: Program) -> None:
    async with Client(program.url) as client:
        await linked(client)
        await client.post("/api/sessions/shop/simulate", {"action": "offline", "seconds": 8})
        body = {"number": NUMBER, "text": "after the crash"}
        answer = await client.post(f"{routes.PREFIX}/message/sendText/shop", body)
        assert answer["status"] == "PENDING"
        program.kill()
        program.kill_workers()
        program.start()
        await program.ready()
        await eventually(lambda: _is_sent(client, answer["key"]["id"]), what="the message being sent")
        assert [message["text"] for message in await inbox(client)] == ["after the crash"]


async def _is_sent(client: Client, message_id: str) -> bool:
    return bool((await client.get(f"/api/sessions/shop/messages/{message_id}"))["state"] == "sent")

"""The Model Context Protocol, spoken by the official SDK's own client with the running application."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bot_service import keys
from bot_service.dialects.mcp.tools import TOOLS
from bot_service.domain.message import InboundMessage
from tests.support.bot_app import Bot, paired, received, running
from tests.support.processes import API_KEY

# The SDK is imported by the tests that use it: every process of a run would spend half a second on it.
if TYPE_CHECKING:
    from mcp.client import Client
    from mcp_types import CallToolResult

JID = "33612345678@s.whatsapp.net"


@asynccontextmanager
async def client_of(bot: Bot, key: str = API_KEY) -> AsyncIterator[Client]:
    import httpx2
    from mcp.client import Client
    from mcp.client.streamable_http import streamable_http_client

    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
        url = str(bot.client.make_url("/mcp"))
        async with Client(streamable_http_client(url, http_client=http)) as client:
            yield client


async def key_for(bot: Bot, owner: str, *scopes: str) -> tuple[str, str]:
    """(the key, its id)."""
    _, made = await bot.call("POST", "/api/keys", {"name": owner, "owner": owner, "scopes": list(scopes)})
    return made["key"], made["id"]


def text_of(result: CallToolResult) -> str:
    from mcp_types import TextContent

    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def found(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    return dict(result.structured_content)


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result
    return text_of(result)


async def test_a_model_reads_and_sends(bot: Bot) -> None:
    await paired(bot, "shop")
    record = bot.app[keys.SESSIONS].registry.get("shop")
    assert record is not None
    await received(
        bot, InboundMessage("shop", JID, "AAA", JID, record.created_ms, "text", "is it open?", push_name="Ann")
    )
    async with client_of(bot) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == list(TOOLS)
        (session,) = (await found(client, "list_sessions"))["sessions"]
        assert (session["id"], session["state"]) == ("shop", "READY")
        assert (await found(client, "session_health", session="shop"))["health"]["ready"] is True
        (chat,) = (await found(client, "list_chats", session="shop"))["chats"]
        assert (chat["name"], chat["unread"]) == ("Ann", 1)
        (message,) = (await found(client, "list_messages", session="shop", chat="33612345678"))["messages"]
        assert message["text"] == "is it open?"
        answer = {"session": "shop", "to": JID, "text": "yes", "replyTo": "AAA", "idempotencyKey": "answer-1"}
        sent, again = [await found(client, "send_message", **answer) for _ in range(2)]
        assert (sent["message"]["state"], sent["repeated"], again["repeated"]) == ("sent", False, True)
        assert again["message"]["id"] == sent["message"]["id"]
        read = await found(client, "read_message", session="shop", messageId=sent["message"]["id"])
        assert read["message"]["text"] == "yes"
    ((_, outgoing),) = bot.pool.sent
    assert (outgoing.to, outgoing.reply_to, outgoing.reply_to_sender) == (JID, "AAA", JID)


async def test_clients_with_the_handshake_of_earlier_versions_work_too(bot: Bot) -> None:
    import httpx2
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client
    from mcp_types import CallToolResult

    await paired(bot, "shop")
    async with (
        httpx2.AsyncClient(headers={"X-Api-Key": API_KEY}) as http,
        streamable_http_client(str(bot.client.make_url("/mcp")), http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        greeting = await session.initialize()
        assert greeting.server_info.name == "veilleur"
        result = await session.call_tool("list_sessions", {})
        assert isinstance(result, CallToolResult)
        assert [each["id"] for each in result.structured_content["sessions"]] == ["shop"]


async def test_keys_have_the_same_scopes_and_owners(bot: Bot) -> None:
    await paired(bot, "shop")
    reader, reader_id = await key_for(bot, "main", "read")
    stranger, _ = await key_for(bot, "ann", "read", "send")
    sender, _ = await key_for(bot, "main", "send")
    message = {"session": "shop", "to": JID, "text": "x", "idempotencyKey": "1"}
    async with client_of(bot, reader) as client:
        assert "send_message" not in [tool.name for tool in (await client.list_tools()).tools]
        assert (await refused(client, "send_message", **message)).startswith("forbidden: ")
        assert len((await found(client, "list_sessions"))["sessions"]) == 1
        await bot.call("DELETE", f"/api/keys/{reader_id}")
        with pytest.raises(Exception):  # noqa: B017  the SDK has no error for a key that ended
            await client.call_tool("list_sessions", {})
    async with client_of(bot, stranger) as client:
        assert (await found(client, "list_sessions"))["sessions"] == []
        for tool in ("session_health", "list_chats", "list_messages"):
            assert (await refused(client, tool, session="shop")).startswith("not_found: ")
        assert (await refused(client, "send_message", **message)).startswith("not_found: ")
    for key in (None, "wrong", sender):
        assert (await bot.call("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, key=key))[0] in (401, 403)
    assert bot.pool.sent == []


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("list_chats", {}, "session"),
        ("list_messages", {"session": "shop", "limit": 0}, "limit"),
        ("list_messages", {"session": "shop", "chat": "0612345678"}, "chat"),
        ("list_messages", {"session": "shop", "colour": "red"}, "colour"),
        ("read_message", {"session": "shop", "messageId": "NONE"}, "not_found"),
        ("send_message", {"session": "shop", "to": JID, "text": "x"}, "idempotencyKey"),
        ("send_message", {"session": "shop", "to": JID, "text": "", "idempotencyKey": "1"}, "text"),
        ("send_message", {"session": "shop", "to": "unknown", "text": "x", "idempotencyKey": "1"}, "to"),
        ("delete_everything", {}, "not_found"),
    ],
)
async def test_a_wrong_call_names_what_is_wrong(bot: Bot, tool: str, arguments: dict[str, Any], named: str) -> None:
    await bot.call("POST", "/api/sessions", {"id": "shop", "start": False})
    async with client_of(bot) as client:
        assert named in await refused(client, tool, **arguments)
    assert bot.pool.sent == []


async def test_other_methods_and_bodies_are_refused(bot: Bot) -> None:
    assert (await bot.call("GET", "/mcp"))[0] == 405
    assert (await bot.call("POST", "/mcp", {"no": "JSON-RPC"}, headers={"Accept": "application/json"}))[0] == 400
    large = io.BytesIO(b" " * 1_100_000)
    async with bot.client.post("/mcp", data=large, headers={"Authorization": f"Bearer {API_KEY}"}) as answer:
        assert answer.status == 413


async def test_without_the_sdk_the_answer_says_how_to_install_it(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot_service.dialects.mcp.routes.find_spec", lambda _: None)
    status, problem = await bot.call("POST", "/mcp", {})
    assert (status, problem["code"], "veilleur[mcp]" in problem["detail"]) == (501, "not_installed", True)


async def test_it_can_be_turned_off(tmp_path: Path) -> None:
    async with running(tmp_path, DIALECTS="waha") as bot:
        assert (await bot.call("POST", "/mcp", {}))[0] == 404


def test_the_sdk_is_loaded_for_the_first_request_only() -> None:
    code = "import sys, bot_service.app; sys.exit('mcp' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

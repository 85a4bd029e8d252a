"""Both programs as processes and the real engine: what a person with a telephone sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_whatsapp.remote import Remote
from tests.support import processes
from tests.support.processes import Client, Program
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually
from tests.wire import programs

pytestmark = [pytest.mark.wire, pytest.mark.system, pytest.mark.timeout(300)]
BOT, ANN = "15550001", "15550002"


@pytest.fixture
async def bot(tmp_path: Path, server: Remote) -> AsyncIterator[Program]:
    """A running bot service."""
    program = programs.bot(tmp_path, server, WEBHOOK_ALLOW_PRIVATE="true", HEARTBEAT_INTERVAL="500")
    async with program.running():
        yield program


@pytest.fixture
async def client(bot: Program) -> AsyncIterator[Client]:
    async with Client(bot.url) as running:
        yield running


async def logins(server: Remote) -> int:
    return len((await server("account", number=BOT))["logins"])


async def test_a_session_is_ready_again_without_a_scan_after_the_bot_and_its_workers_are_killed(
    bot: Program, client: Client, server: Remote
) -> None:
    await programs.pair(client, server, "shop", BOT)
    bot.kill()
    assert bot.kill_workers()
    await server("send", sender=ANN, chat=BOT, body="while you were away")
    bot.start()
    await bot.ready()
    await programs.until_state(client, "shop", "READY")
    status, _ = await client.call("GET", "/api/sessions/shop/qr")
    assert status != 200

    async def delivered() -> bool:
        return "delivered" in str((await server("phone", number=ANN))["marks"])

    await eventually(delivered, what="the mark of the message sent meanwhile")


async def test_the_engine_stays_online_while_only_the_api_process_is_killed(
    bot: Program, client: Client, server: Remote
) -> None:
    await programs.pair(client, server, "shop", BOT)
    before = await logins(server)
    bot.kill()
    await server("send", sender=ANN, chat=BOT, body="nobody home?")
    bot.start()
    await bot.ready()
    await programs.until_state(client, "shop", "READY")
    assert await logins(server) == before


async def test_messages_that_arrive_while_only_the_api_process_is_dead_are_all_there_afterwards(
    bot: Program, client: Client, server: Remote
) -> None:
    await programs.pair(client, server, "shop", BOT)
    ids = await server("flood", sender=ANN, chats=[BOT], count=300, per_second=100)
    await asyncio.sleep(1.0)
    bot.kill()
    await asyncio.sleep(1.0)
    bot.start()
    await bot.ready()

    async def known() -> set[str]:
        found: set[str] = set()
        page = await client.get("/api/sessions/shop/messages?direction=in&limit=100")
        while True:
            found |= {message["id"] for message in page["messages"]}
            if page["next"] is None:
                return found
            page = await client.get(f"/api/sessions/shop/messages?direction=in&limit=100&before={page['next']}")

    async def complete() -> bool:
        return await known() == set(ids)

    await eventually(complete, every_s=0.3, what="all 300 messages")


async def test_a_killed_worker_is_replaced_and_its_session_is_ready_again(
    bot: Program, client: Client, server: Remote
) -> None:
    await programs.pair(client, server, "shop", BOT)
    before = await logins(server)
    assert bot.kill_workers()

    async def again() -> bool:
        return await logins(server) > before

    await eventually(again, what="a new login")
    await programs.until_state(client, "shop", "READY")


async def test_the_whole_story_of_a_telephone_a_webhook_a_kill_and_an_alert(
    bot: Program, client: Client, server: Remote, receiver: Receiver, tmp_path: Path
) -> None:
    def answer(request: Received) -> tuple[int, Any, dict[str, str]]:
        return 200, {"reply": f"echo: {_text(request)}"} if _text(request) else {}, {}

    receiver.answer = answer
    await client.post("/api/webhooks", {"url": f"{receiver.url}/hook", "events": ["message"]})
    await programs.pair(client, server, "shop", BOT)

    await server("send", sender=ANN, chat=BOT, body="hello")
    got = await server.message_to(ANN, text="echo: hello")

    async def sent(text: str) -> Any:
        page = await client.get("/api/sessions/shop/messages?direction=out")
        return next((one for one in page["messages"] if one["text"] == text), None)

    async def marked(text: str, state: str) -> bool:
        found = await sent(text)
        return bool(found) and found["state"] == state

    await eventually(lambda: marked("echo: hello", "delivered"), what="the mark delivered")
    await server("mark", number=ANN, chat=ANN, author=BOT, id=got["id"], kind="read")
    await eventually(lambda: marked("echo: hello", "read"), what="the mark read")

    alerts = Receiver()
    await alerts.start()
    watchdog = processes.watchdog(
        tmp_path,
        bot.url,
        port=None,
        name="watchdog",
        KEEP_ALIVE_INTERVAL="1000",
        KEEP_ALIVE_RETRY_INTERVAL="200",
        KEEP_ALIVE_TIMEOUT="1000",
        ALERT_URLS=f"{alerts.url.replace('http', 'json')}/alert",
    )
    watchdog.start()
    try:
        await watchdog.ready()
        bot.kill()
        bot.kill_workers()
        await server("send", sender=ANN, chat=BOT, body="are you there?")
        await eventually(lambda: "consecutive keep-alive failures!" in watchdog.output(), what="the alert in the log")
        await eventually(lambda: alerts.requests, what="the alert at the channel")
        bot.start()
        await bot.ready()
        await server.message_to(ANN, text="echo: are you there?")
        await programs.until_state(client, "shop", "READY")
        assert (await client.call("GET", "/api/sessions/shop/qr"))[0] != 200
        assert [entry["text"] for entry in await server("inbox", number=ANN)] == ["echo: hello", "echo: are you there?"]
    finally:
        watchdog.close()
        await alerts.stop()


def _text(request: Received) -> str | None:
    data = request.json.get("data", {})
    message = data.get("message", data)
    return message.get("text") if isinstance(message, dict) else None


async def test_a_session_dials_through_its_own_proxy(tmp_path: Path, server: Remote) -> None:
    program = programs.bot(tmp_path, server, WHATSAPP_PROXY=f"http://127.0.0.1:{processes.free_port()}")
    async with program.running(), Client(program.url) as client:
        await programs.pair(client, server, "shop", BOT, proxy=server.proxy)
        await client.call("PATCH", "/api/sessions/shop", {"proxy": None})
        await client.call("POST", "/api/sessions/shop/restart")
        found = await programs.until_state(client, "shop", "RECONNECTING")
        assert found["proxy"] is None
        await client.call("PATCH", "/api/sessions/shop", {"proxy": server.proxy})
        await client.call("POST", "/api/sessions/shop/restart")
        await programs.until_state(client, "shop", "READY")

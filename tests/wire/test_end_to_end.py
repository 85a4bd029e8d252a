"""Both programs as processes and the real engine: what a person with a telephone sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fake_whatsapp.remote import Remote
from tests.support.processes import Client, Program
from tests.support.waiting import eventually
from tests.wire import programs

pytestmark = [pytest.mark.wire, pytest.mark.system]
BOT, ANN = "15550001", "15550002"


@pytest.fixture
async def bot(tmp_path: Path, server: Remote) -> AsyncIterator[Program]:
    """A running bot service."""
    program = programs.bot(tmp_path, server)
    program.start()
    try:
        await program.ready()
        yield program
    finally:
        program.close()


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


async def test_a_killed_worker_is_replaced_and_its_session_is_ready_again(
    bot: Program, client: Client, server: Remote
) -> None:
    await programs.pair(client, server, "shop", BOT)
    before = await logins(server)
    assert bot.kill_workers()

    async def again() -> bool:
        return await logins(server) > before

    await eventually(again, within_s=30, what="a new login")
    await programs.until_state(client, "shop", "READY")

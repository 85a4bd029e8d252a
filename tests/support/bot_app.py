"""The bot service inside a test: the real application, a client with a key, and an engine pool in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot_service import keys
from bot_service.app import build_app
from bot_service.domain.calls import Call
from bot_service.domain.group_changes import GroupChange
from bot_service.domain.message import InboundMessage, JournalRecord, Receipt
from bot_service.domain.states import State
from bot_service.messages.inbound import ingest
from bot_service.settings import BotSettings
from shared.clock import Clock
from shared.settings import load
from tests.support.fake_pool import FakePool
from tests.support.processes import API_KEY, WATCHDOG_TOKEN
from tests.support.template import empty_store, store_environment
from tests.support.waiting import eventually


def settings(data_dir: Path, **env: str) -> BotSettings:
    given = {
        "DATA_DIR": str(data_dir),
        **store_environment(data_dir),
        "ENGINE": "simulator",
        "BOT_API_KEY": API_KEY,
        "WATCHDOG_TOKEN": WATCHDOG_TOKEN,
        # No test looks at a page outside.
        "WHATSAPP_VERSION": "builtin",
        **env,
    }
    return load(BotSettings, given)


@dataclass
class Bot:
    app: web.Application
    client: TestClient[Any, Any]
    pool: FakePool

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = API_KEY, **kwargs: Any
    ) -> tuple[int, Any]:
        """(status, parsed JSON or text)."""
        headers = dict(kwargs.pop("headers", {}))
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        if body is not None:
            kwargs["json"] = body
        async with self.client.request(method, path, headers=headers, **kwargs) as response:
            if "json" in response.content_type:
                return response.status, await response.json(content_type=None)
            return response.status, await response.text()


@asynccontextmanager
async def running(
    data_dir: Path, *, pool: FakePool | None = None, clock: Clock | None = None, **env: str
) -> AsyncIterator[Bot]:
    """Started and, at the end, stopped."""
    pool = pool or FakePool(online=True)
    empty_store(data_dir)
    app = build_app(settings(data_dir, **env), pool=pool, clock=clock)
    async with TestClient(TestServer(app)) as client:
        yield Bot(app, client, pool)


async def paired(bot: Bot, *sessions: str) -> None:
    """New sessions with a linked phone, READY."""
    for session in sessions:
        await bot.call("POST", "/api/sessions", {"id": session})
        await is_in(bot, session, State.PAIRING)
        bot.pool.pair(session)
        await is_in(bot, session, State.READY)


async def is_in(bot: Bot, session: str, state: State) -> None:
    """Wait until the session is in ``state``."""
    registry = bot.app[keys.SESSIONS].registry
    await eventually(lambda: (r := registry.get(session)) and r.state is state, what=f"{session} being {state}")


_PARTS: dict[type, str] = {InboundMessage: "message", Receipt: "receipt", Call: "call", GroupChange: "group"}


async def received(bot: Bot, *items: InboundMessage | Receipt | Call | GroupChange) -> None:
    """Store messages, receipts, calls and changes of groups as if they had just come through a journal, for the sessions that they name."""
    known = bot.app[keys.SESSIONS].registry.get
    records = [
        JournalRecord(
            **{_PARTS[type(item)]: item},  # type: ignore[arg-type]
            creation=record.creation if (record := known(item.session)) else "",
        )
        for item in items
    ]
    async with bot.app[keys.DATABASE].write() as connection:
        stored = await ingest(connection, records, bot.app[keys.CLOCK].now(), known)
        await bot.app[keys.EVENTS].publisher.stage(connection, stored.drafts)

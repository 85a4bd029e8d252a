"""Receivers whose name servers do not answer, in the running service: they delay no message and no other receiver."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData

from bot_service import keys
from bot_service.domain.message import InboundMessage, JournalRecord
from bot_service.engines.wire.journal_file import JournalWriter
from shared.clock import SystemClock
from tests.support.bot_app import Bot, paired, running
from tests.support.processes import API_KEY
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

CHAT = "33612345678@s.whatsapp.net"
# Less than a look-up may take, more than a busy machine needs.
SOON_S = 4.0


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Names below ``hung.example`` get no answer before the end of the test. The names that were asked for."""
    released, asked, real = threading.Event(), set[str](), socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith(".hung.example"):
            asked.add(str(host))
            released.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield asked
    released.set()


def journal(bot: Bot) -> Callable[[str], None]:
    """Writes a message as a worker does."""
    record = bot.app[keys.SESSIONS].registry.get("one")
    assert record is not None
    folder, reader = bot.app[keys.SETTINGS].data_dir / "journal", bot.app[keys.MESSAGES].journal
    writer = JournalWriter(folder, "w1", SystemClock(), grew=reader.notice)
    writer.open()

    def write(identity: str) -> None:
        message = InboundMessage("one", CHAT, identity, CHAT, 1_700_000_000_000, "text", "hello")
        writer.append(JournalRecord(message=message, creation=record.creation))

    return write


async def test_ten_receivers_with_hung_names_delay_no_message_of_the_service(tmp_path: Path, hung: set[str]) -> None:
    async with Receiver() as receiver, running(tmp_path / "data", WEBHOOK_ALLOW_PRIVATE="true") as bot:
        await paired(bot, "one", "two")
        for number in range(10):
            body = {"url": f"http://r{number}.hung.example/", "events": ["message"]}
            assert (await bot.call("POST", "/api/webhooks", body))[0] == 201
        # By a name too: it is resolved beside the others.
        named = receiver.url.replace("127.0.0.1", "localhost")
        await bot.call("POST", "/api/webhooks", {"url": named, "events": ["message"]})
        write = journal(bot)
        write("FIRST")
        await eventually(lambda: len(hung) == 10, what="every hung name being asked for")
        for number in range(5):
            write(f"M{number}")
            arrived = await receiver.wait_for(lambda body, n=number: body["data"]["id"] == f"M{n}", within_s=SOON_S)  # type: ignore[misc]
            assert arrived.json["session"] == "one"
        # The road of a file that is sent uses threads too.
        form = FormData({"to": "33612345678", "type": "document"})
        form.add_field("file", io.BytesIO(b"x" * 100_000), filename="a.bin", content_type="application/octet-stream")
        async with asyncio.timeout(SOON_S):
            async with bot.client.post(
                "/api/sessions/two/messages", data=form, headers={"Authorization": f"Bearer {API_KEY}"}
            ) as sent:
                assert sent.status == 202
        await eventually(lambda: len(bot.pool.sent) == 1, within_s=SOON_S, what="the file being sent")

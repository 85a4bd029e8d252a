"""A worker dies between a message of ours and its answer: the phone shows that message once, whatever had become of it."""

from __future__ import annotations

import asyncio
import signal

import pytest

from bot_service.domain.message import OutgoingMessage
from tests.fake_whatsapp.remote import Remote
from tests.wire.conftest import StartWorker

pytestmark = [pytest.mark.wire, pytest.mark.deep]
BOT, ANN = "15550001", "15550002"
MESSAGE = OutgoingMessage(id="m1", to=ANN, type="text", text="once")
LAST = OutgoingMessage(id="m2", to=ANN, type="text", text="last")


@pytest.mark.parametrize("mark", ["before the kill", "while nobody was there", "after the restart"])
async def test_what_the_phone_has_is_not_sent_again(server: Remote, start_worker: StartWorker, mark: str) -> None:
    worker = await start_worker()
    jid = await worker.pair("s", BOT)
    await server("quiet", number=ANN, sends_receipts=mark == "before the kill")
    await server("faults", lost_acks=[BOT])
    sending = asyncio.create_task(worker.send("s", MESSAGE))
    got = await server.message_to(ANN, text="once")
    if mark == "before the kill":
        await worker.heard("s", "receipt")
    await worker.end(signal.SIGKILL)
    sending.cancel()
    await server("faults", lost_acks=[])
    if mark == "while nobody was there":
        await server("mark", number=ANN, chat=ANN, author=BOT, id=got["id"], kind="")
    worker = await start_worker()
    await worker.begin("s", jid)
    again = asyncio.create_task(worker.send("s", MESSAGE))
    if mark == "after the restart":
        await worker.heard("s", "offline_sync_completed")
        await server("mark", number=ANN, chat=ANN, author=BOT, id=got["id"], kind="")
    sent = await again
    assert (sent.id, sent.at_ms > 0) == ("m1", True)
    await worker.send("s", LAST)
    await server.message_to(ANN, text="last")
    assert [entry["text"] for entry in await server("inbox", number=ANN)] == ["once", "last"]


async def test_what_nobody_has_is_sent_again(server: Remote, start_worker: StartWorker) -> None:
    worker = await start_worker()
    jid = await worker.pair("s", BOT)
    await server("account", number=ANN)
    await server("faults", no_message_ack=[BOT])
    sending = asyncio.create_task(worker.send("s", MESSAGE))
    while not (await server("stats")).get("messages swallowed"):  # noqa: ASYNC110  another process counts
        await asyncio.sleep(0.02)
    await worker.end(signal.SIGKILL)
    sending.cancel()
    await server("faults", no_message_ack=[])
    worker = await start_worker()
    await worker.begin("s", jid)
    assert (await worker.send("s", MESSAGE)).id == "m1"
    await server.message_to(ANN, text="once")
    assert [entry["text"] for entry in await server("inbox", number=ANN)] == ["once"]

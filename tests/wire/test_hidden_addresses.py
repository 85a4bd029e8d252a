"""Chats that move from a number to a hidden address (LID), and repeats that are asked for in bulk: each message is read once."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_whatsapp.remote import Remote
from tests.support.processes import Client, Program
from tests.support.waiting import eventually
from tests.wire import programs

pytestmark = [pytest.mark.wire, pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]
BOT, ANN, BEN = "15550001", "15550002", "15550003"
GROUP = "120363@g.us"
FLOOD, PER_SECOND = 150, 50


@pytest.fixture
async def program(tmp_path: Path, server: Remote) -> AsyncIterator[Program]:
    """A running bot service."""
    async with programs.bot(tmp_path, server).running() as running:
        yield running


@pytest.fixture
async def client(program: Program, server: Remote) -> AsyncIterator[Client]:
    """Its client, after a phone was linked."""
    async with Client(program.url) as running:
        await programs.pair(running, server, "shop", BOT)
        yield running


async def arrived(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    before = 0
    while True:
        page = await client.get(f"/api/sessions/shop/messages?direction=in&limit=500&before={before}")
        found.extend(page["messages"])
        if page["next"] is None:
            return found
        before = page["next"]


async def settled(server: Remote) -> None:
    """Wait until every flood is over and the server owes nothing."""

    async def calm() -> bool:
        return not await server("flooding") and not (await server("account", number=BOT))["owed"]

    await eventually(calm, every_s=0.1, what="the end of the flood")


async def each_is_read_once(client: Client, ids: list[str]) -> list[dict[str, Any]]:
    """Wait until all of ``ids`` are there; asserts that none is there twice. Their rows, newest first."""

    async def all_there() -> bool:
        return set(ids) <= {row["id"] for row in await arrived(client)}

    await eventually(all_there, every_s=0.2, what=f"{len(ids)} messages")
    rows = [row for row in await arrived(client) if row["id"] in set(ids)]
    assert Counter(row["id"] for row in rows) == Counter(ids)
    assert all(row["type"] == "text" for row in rows)
    return rows


@pytest.mark.parametrize("place", ["person", "group"])
async def test_a_chat_that_moves_to_a_hidden_address_in_the_middle_of_messages_loses_none(
    client: Client, server: Remote, place: str
) -> None:
    await server("group", id="120363", subject="Friends", members=[ANN, BOT, BEN])
    chat, to = (BOT, ANN) if place == "person" else (GROUP, GROUP)
    ids = await server("flood", sender=ANN, chats=[chat], count=FLOOD, per_second=PER_SECOND)
    await asyncio.sleep(1.0)
    sent = [f"out {number}" for number in range(10)]
    for number, text in enumerate(sent):
        await client.post("/api/sessions/shop/messages", {"to": to, "text": text})
        if number == 4:
            await server("hide", number=ANN)
    await settled(server)
    rows = await each_is_read_once(client, ids)
    assert any(row["lid"] for row in rows)  # some came by the hidden address
    if place == "person":
        # One person, one chat, whatever the messages name.
        assert {row["chat"] for row in rows} == {f"{ANN}@s.whatsapp.net"}
        chats = (await client.get("/api/sessions/shop/chats"))["chats"]
        assert [each["chat"] for each in chats] == [f"{ANN}@s.whatsapp.net"]
    for text in sent:
        await server.message_to(ANN, text=text)
    # What is written afterwards is read on both sides, by either address.
    for address in (ANN, f"9{ANN}@lid") if place == "person" else (GROUP,):
        await client.post("/api/sessions/shop/messages", {"to": address, "text": f"to {address}"})
        await server.message_to(ANN, text=f"to {address}")
    assert (await server("phone", number=ANN))["unreadable"] == []


async def test_repeats_that_are_asked_for_in_bulk_after_a_reconnect_are_read_once_or_named_as_lost(
    client: Client, program: Program, server: Remote
) -> None:
    await server("send", sender=ANN, chat=BOT, body="before")
    await client.post("/api/sessions/shop/stop")

    async def offline() -> bool:
        return not (await server("account", number=BOT))["online"]

    await eventually(offline, what="the end of the client")
    for number in (ANN, BEN):
        await server("spoil", number=number)
    # Nothing that BEN writes can be read, however often it is asked for.
    lost = [await server("send", sender=BEN, chat=BOT, body=f"never {number}") for number in range(5)]
    ids = [await server("send", sender=ANN, chat=BOT, body=f"spoiled {number}") for number in range(30)]
    await server("spoil", number=ANN, spoils=False)
    ids += [await server("send", sender=ANN, chat=BOT, body=f"good {number}") for number in range(10)]
    await client.post("/api/sessions/shop/start")
    await programs.until_state(client, "shop", "READY")
    await each_is_read_once(client, ids)
    assert (await server("stats"))["repeats asked"] >= 30
    await settled(server)

    async def counted() -> bool:
        _, metrics = await client.call("GET", "/metrics")
        found = re.search(r'^veilleur_bot_messages_lost_total\{reason="unreadable"\} (\S+)$', metrics, re.MULTILINE)
        return found is not None and float(found[1]) == len(lost)

    await eventually(counted, every_s=0.2, what="every lost message being counted")
    named = {event["message_id"] for event in program.events() if event.get("event") == "message.lost"}
    assert named == set(lost)
    assert not {row["id"] for row in await arrived(client)} & set(lost)
    # The chat goes on in both directions.
    await client.post("/api/sessions/shop/messages", {"to": ANN, "text": "and on"})
    await server.message_to(ANN, text="and on")
    assert (await server("phone", number=ANN))["unreadable"] == []

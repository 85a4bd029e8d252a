"""Statuses that a session posts: who gets them, and that phones and linked devices can read them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot_service.domain import people
from bot_service.domain.addresses import STATUS_CHAT
from bot_service.domain.message import Media, OutgoingMessage
from tests.fake_whatsapp.remote import Remote
from tests.support.waiting import eventually
from tests.wire.worker_driver import WorkerDriver

pytestmark = [pytest.mark.wire, pytest.mark.timeout(120)]
BOT, ANN, BEN = "15550001", "15550002", "15550003"
CARA = "15550004"


async def with_contacts(server: Remote, worker: WorkerDriver, *numbers: str) -> None:
    """The bot is paired, and its phone has shared an address book with ``numbers``. Cara has a phone and is in none."""
    for number in (ANN, BEN, CARA):
        await server("account", number=number)
    await worker.pair("s", BOT)
    await server("share_contacts", number=BOT, names={number: f"Friend {number}" for number in numbers})

    async def known() -> bool:
        found = await worker.command("ask", "s", question=msgspec.to_builtins(people.ListContacts()))
        return {f"{number}@s.whatsapp.net" for number in numbers} <= {each["jid"] for each in found if each.get("name")}

    await eventually(known, what="the contacts")


async def post(worker: WorkerDriver, message_id: str, **parts: Any) -> None:
    parts = {"type": "text", "text": message_id} | parts
    await worker.send("s", OutgoingMessage(id=message_id, to=STATUS_CHAT, **parts))


async def seen(server: Remote, number: str) -> list[dict[str, Any]]:
    return [entry for entry in await server("inbox", number=number) if entry["chat"] == STATUS_CHAT]


async def readers(server: Remote, text: str) -> set[str]:
    """The phones that can read a status."""
    return {
        number
        for number in (BOT, ANN, BEN, CARA)
        if text in [entry.get("text") for entry in await seen(server, number)]
    }


async def readable(server: Remote, number: str, text: str) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        return next((entry for entry in await seen(server, number) if entry.get("text") == text), None)

    entry: dict[str, Any] = await eventually(found, what=f"{text} on the phone {number}")
    assert (await server("phone", number=number))["unreadable"] == []
    return entry


async def test_contacts_read_a_text_with_its_colour_and_font_on_every_device(
    worker: WorkerDriver, server: Remote
) -> None:
    await with_contacts(server, worker, ANN, BEN)
    await worker.pair("of-ann", ANN)
    await post(worker, "Open until 8", background="#38b42f", font=2)
    entry = await readable(server, ANN, "Open until 8")
    assert (entry["kind"], entry["background"], entry["font"]) == ("text", 0xFF38B42F, 2)
    assert await readers(server, "Open until 8") == {BOT, ANN, BEN}
    came = await worker.message(text="Open until 8")
    assert (came.session, came.chat, came.sender) == ("of-ann", STATUS_CHAT, f"{BOT}@s.whatsapp.net")
    assert not came.is_group

    async def delivered() -> bool:
        return any(each.chat == STATUS_CHAT and each.message_ids == ["Open until 8"] for each in worker.receipts())

    await eventually(delivered, what="a receipt with the own id")
    await post(worker, "And tomorrow")
    assert (await readable(server, ANN, "And tomorrow"))["background"] >> 24 == 0xFF


@pytest.mark.parametrize(
    ("privacy", "numbers", "expected"),
    [
        ("whitelist", [BEN], {BOT, BEN}),
        ("whitelist", [CARA], {BOT, CARA}),  # who is on the list need not be a contact
        ("blacklist", [BEN], {BOT, ANN}),
        ("contacts", [], {BOT, ANN, BEN}),
    ],
)
async def test_the_status_privacy_of_the_phone_chooses_the_readers(
    worker: WorkerDriver, server: Remote, privacy: str, numbers: list[str], expected: set[str]
) -> None:
    await with_contacts(server, worker, ANN, BEN)
    await server("status_privacy", number=BOT, kind=privacy, numbers=numbers)
    await post(worker, "Hello")
    for number in expected:
        await readable(server, number, "Hello")
    assert await readers(server, "Hello") == expected


async def test_without_contacts_only_the_own_phone_has_it(worker: WorkerDriver, server: Remote) -> None:
    await with_contacts(server, worker)
    await server("send", sender=ANN, chat=BOT, body="I write, and am no contact")
    await worker.message(text="I write, and am no contact")
    await post(worker, "Hello")
    await readable(server, BOT, "Hello")
    assert await readers(server, "Hello") == {BOT}


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
async def test_files_can_be_opened(worker: WorkerDriver, server: Remote, tmp_path: Path, kind: str) -> None:
    await with_contacts(server, worker, ANN)
    path = tmp_path / "file"
    path.write_bytes(b"content of the file")
    voice = kind == "audio"
    media = Media("audio/ogg; codecs=opus" if voice else f"{kind}/x-test", path=str(path), voice=voice)
    caption = None if voice else "See"
    await post(worker, "s1", type=kind, text=caption, media=media, background="#102030" if voice else None)
    entry = await readable(server, ANN, caption or "")
    assert (entry["kind"], entry["voice"]) == (kind, voice)
    assert entry["background"] == (0xFF102030 if voice else 0)
    opened = await server("file", kind=kind, path=entry["directPath"], key=entry["mediaKey"])
    assert base64.b64decode(opened) == b"content of the file"


async def test_a_status_is_taken_back_on_every_phone(worker: WorkerDriver, server: Remote) -> None:
    await with_contacts(server, worker, ANN)
    await post(worker, "Oops")
    posted = await readable(server, ANN, "Oops")
    await post(worker, "r1", type="revoke", text=None, revokes="Oops", refers_to_own=True)

    async def revoked() -> dict[str, Any] | None:
        return next((entry for entry in await seen(server, ANN) if entry["kind"] == "revoke"), None)

    assert (await eventually(revoked, what="the revocation"))["target"] == posted["id"]

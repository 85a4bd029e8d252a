"""Everything that can be said on WhatsApp, both ways, with the real engine: from a phone to the journal and back."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bot_service.domain.addresses import can_be_answered
from bot_service.domain.message import LinkPreview, Media, MessageType, OutgoingMessage
from tests.fake_whatsapp.remote import Remote
from tests.support import waiting
from tests.wire.worker_driver import CommandError, WorkerDriver, eventually

pytestmark = pytest.mark.wire
BOT, ANN, BEN = "15550001", "15550002", "15550003"
ANN_JID = f"{ANN}@s.whatsapp.net"


async def test_a_text_arrives_is_answered_and_the_answer_is_marked_delivered_and_read(
    worker: WorkerDriver, server: Remote
) -> None:
    await worker.pair("s", BOT)
    await server("send", sender=ANN, chat=BOT, body="hello")
    came = await worker.message(text="hello")
    assert (came.chat, came.sender, came.push_name, came.is_group) == (ANN_JID, ANN_JID, "Phone 0002", False)
    sent = await worker.send("s", OutgoingMessage(id="m1", to=ANN, type="text", text="hi"))
    assert sent.id == "m1"
    got = await server.message_to(ANN, text="hi")
    await eventually(lambda: [mark.type for mark in worker.receipts() if mark.message_ids == ["m1"]] == ["delivered"])
    await server("mark", number=ANN, chat=ANN, author=BOT, id=got["id"], kind="read")
    await eventually(lambda: "read" in [mark.type for mark in worker.receipts() if mark.message_ids == ["m1"]])
    assert all(mark.chat == ANN_JID for mark in worker.receipts())


async def test_a_message_is_sent_once_although_it_is_commanded_twice(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    await server("account", number=ANN)
    message = OutgoingMessage(id="m1", to=ANN, type="text", text="once")
    first = await worker.send("s", message)
    assert await worker.send("s", message) == first
    await worker.send("s", OutgoingMessage(id="m2", to=ANN, type="text", text="last"))
    await server.message_to(ANN, text="last")
    assert [entry["text"] for entry in await server("inbox", number=ANN)] == ["once", "last"]


async def test_a_long_talk_both_ways_loses_and_repeats_nothing(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    for turn in range(30):
        await server("send", sender=ANN, chat=BOT, body=f"question {turn}")
        await worker.message(text=f"question {turn}")
        await worker.send("s", OutgoingMessage(id=f"m{turn}", to=ANN, type="text", text=f"answer {turn}"))
    await server.message_to(ANN, text="answer 29")
    assert [entry["text"] for entry in await server("inbox", number=ANN)] == [f"answer {turn}" for turn in range(30)]
    assert [message.text for message in worker.messages()] == [f"question {turn}" for turn in range(30)]
    assert (await server("phone", number=ANN))["unreadable"] == []


async def test_a_message_that_stays_unreadable_is_named_as_lost_and_holds_up_nothing(
    worker: WorkerDriver, server: Remote
) -> None:
    await worker.pair("s", BOT)
    await server("account", number=ANN)
    await server("spoil", number=ANN)
    lost = await server("send", sender=ANN, chat=BOT, body="spoiled")
    told = await worker.heard("s", "message_lost")
    assert told.data == {"messageId": lost, "reason": "unreadable"}

    def logged() -> bool:
        log = (worker.data_dir / "workers.log").read_text()
        return any('"event":"message.lost"' in line and lost in line for line in log.splitlines())

    assert await eventually(logged)  # a thread of its own writes the log
    await server("spoil", number=ANN, spoils=False)
    await server("send", sender=ANN, chat=BOT, body="clear")
    assert [(await worker.message(text="clear")).text] == [message.text for message in worker.messages()]

    async def nothing_is_owed() -> bool:
        return bool((await server("stats"))["owed"] == 0)

    await waiting.eventually(nothing_is_owed, what="every stanza being acknowledged")


async def test_groups_are_read_and_written_with_sender_keys(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    await server("group", id="120363", subject="Friends", members=[ANN, BOT, BEN])
    for turn in range(3):
        await server("send", sender=ANN, chat="120363@g.us", body=f"all {turn}")
        came = await worker.message(text=f"all {turn}")
        assert (came.chat, came.sender, came.is_group) == ("120363@g.us", ANN_JID, True)
        await worker.send("s", OutgoingMessage(id=f"g{turn}", to="120363@g.us", type="text", text=f"re {turn}"))
        for reader in (ANN, BEN):
            assert (await server.message_to(reader, text=f"re {turn}"))["via"] == "skmsg"
    assert len(worker.messages()) == 3


@pytest.mark.parametrize("kind", ["image", "document", "audio", "video", "sticker"])
async def test_files_go_both_ways(worker: WorkerDriver, server: Remote, tmp_path: Path, kind: MessageType) -> None:
    await worker.pair("s", BOT)
    plain = bytes(range(256)) * 300
    data = base64.b64encode(plain).decode()
    await server("send", sender=ANN, chat=BOT, kind=kind, data=data, mime_type="image/png")
    came = await worker.message(type=kind)
    assert came.media is not None
    assert came.media.path is not None
    assert Path(came.media.path).read_bytes() == plain
    file = tmp_path / "out.bin"
    file.write_bytes(plain[::-1])
    media = Media(mime_type="application/x-test", file_name="a.bin", path=str(file), seconds=3, voice=True)
    await worker.send("s", OutgoingMessage(id="m1", to=ANN, type=kind, text="see", media=media))
    got = await server.message_to(ANN, kind=kind)
    assert got["mimeType"] == "application/x-test"
    assert got["text"] == ("see" if kind in ("image", "video", "document") else "")
    assert base64.b64decode(await server("file", kind=kind, path=got["directPath"], key=got["mediaKey"])) == plain[::-1]


async def test_a_message_whose_file_cannot_be_fetched_still_arrives(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    await server("faults", break_media=True)
    await server("send", sender=ANN, chat=BOT, kind="image", data="aGVsbG8=", mime_type="image/png", caption="pic")
    came = await worker.message(text="pic")
    assert came.media is not None
    assert came.media.path is None


async def test_replies_and_reactions_name_their_message_both_ways(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    await server("send", sender=ANN, chat=BOT, body="what?")
    asked = await worker.message(text="what?")
    reply = OutgoingMessage(id="m1", to=ANN, type="text", text="that", reply_to=asked.id, reply_to_sender=asked.sender)
    await worker.send("s", reply)
    got = await server.message_to(ANN, text="that")
    assert got["replyTo"] == asked.id
    like = OutgoingMessage(
        id="m2", to=ANN, type="reaction", text="👍", reaction_to=asked.id, reply_to_sender=asked.sender
    )
    await worker.send("s", like)
    assert (await server.message_to(ANN, kind="reaction"))["reactionTo"] == asked.id
    whole = f"{BOT}@s.whatsapp.net"
    await server("send", sender=ANN, chat=BOT, kind="reply", body="sure?", to_id=got["id"], to_sender=whole)
    assert (await worker.message(text="sure?")).reply_to == "m1"
    await server(
        "send", sender=ANN, chat=BOT, kind="reaction", emoji="❤️", chat_jid=whole, to_id=got["id"], from_me=False
    )
    assert (await worker.message(type="reaction")).reaction_to == "m1"


async def test_a_link_has_the_preview_that_was_given(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    await server("account", number=ANN)
    text, preview = "See https://example.com/é today", LinkPreview("https://example.com/é", "A page", "About it")
    await worker.send("s", OutgoingMessage(id="m1", to=ANN, type="text", text=text, link_preview=preview))
    got = await server.message_to(ANN, text=text)
    assert got["preview"] == ["https://example.com/é", "A page", "About it"]
    await worker.send("s", OutgoingMessage(id="m2", to=ANN, type="text", text="https://example.com"))
    assert "preview" not in await server.message_to(ANN, text="https://example.com")


async def test_places_and_contacts_go_both_ways(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    await server("send", sender=ANN, chat=BOT, kind="location", latitude=48.1, longitude=11.5, name="Here")
    place = await worker.message(type="location")
    assert (place.latitude, place.longitude, place.name) == (48.1, 11.5, "Here")
    await server("send", sender=ANN, chat=BOT, kind="contact", name="Ben", number=BEN)
    assert (await worker.message(type="contact")).contact_phone == BEN
    place_out = OutgoingMessage(id="m1", to=ANN, type="location", latitude=1.25, longitude=-2.5, name="There")
    await worker.send("s", place_out)
    assert (await server.message_to(ANN, kind="location"))["longitude"] == -2.5
    await worker.send("s", OutgoingMessage(id="m2", to=ANN, type="contact", name="Ben", contact_phone=f"+{BEN}"))
    assert BEN in (await server.message_to(ANN, kind="contact"))["vcard"]


async def test_read_marks_and_typing_reach_the_phone_and_typing_comes_back(
    worker: WorkerDriver, server: Remote
) -> None:
    await worker.pair("s", BOT)
    await server("send", sender=ANN, chat=BOT, body="hello")
    came = await worker.message(text="hello")

    async def delivered() -> bool:
        return bool((await server("phone", number=ANN))["marks"].get(came.id) == ["delivered"])

    # The message is in the journal before its receipt leaves, so a read mark could overtake it.
    await server.wait(delivered)
    await worker.command("mark_read", "s", chat=came.chat, sender=came.sender, messageIds=[came.id])
    await worker.command("typing", "s", chat=came.chat, state="composing")
    await worker.command("typing", "s", chat=came.chat, state="recording")
    await worker.command("typing", "s", chat=came.chat, state="paused")

    async def saw() -> bool:
        phone = await server("phone", number=ANN)
        states = [(entry["state"], entry["media"]) for entry in phone["typing"]]
        wanted = [("composing", ""), ("composing", "audio"), ("paused", "")]
        return phone["marks"].get(came.id) == ["delivered", "read"] and states == wanted

    await server.wait(saw)
    await server("types", number=ANN, chat=BOT)
    assert (await worker.heard("s", "presence")).session == "s"


async def test_a_status_of_a_contact_arrives_as_one(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    ids = [
        await server("status", sender=ANN, readers=[BOT], body="On holiday"),
        await server("status", sender=ANN, readers=[BOT], kind="image", data=base64.b64encode(b"\x89PNG").decode()),
    ]
    text, image = [await worker.message(id=each) for each in ids]
    for status in (text, image):
        assert (status.chat, status.sender) == ("status@broadcast", ANN_JID)
        assert not can_be_answered(status.chat)
        assert not status.is_group
    assert (text.type, text.text) == ("text", "On holiday")
    assert image.type == "image"
    assert image.media is not None
    assert Path(image.media.path or "").read_bytes() == b"\x89PNG"


async def test_what_the_owner_writes_on_his_phone_comes_as_his_own(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    await server("send", sender=BOT, chat=ANN, body="from the phone")
    came = await worker.message(text="from the phone")
    assert (came.from_me, came.chat) == (True, ANN_JID)


@pytest.mark.parametrize(("code", "error"), [(463, "timelocked"), (479, "rejected")])
async def test_a_send_that_the_server_refuses_has_a_code(
    worker: WorkerDriver, server: Remote, code: int, error: str
) -> None:
    await worker.pair("s", BOT)
    await server("account", number=ANN)
    await server("faults", reject_sends={BOT: code})
    with pytest.raises(CommandError) as refused:
        await worker.send("s", OutgoingMessage(id="m1", to=ANN, type="text", text="hi"))
    assert refused.value.code == error
    if error == "timelocked":
        await worker.heard("s", "timelock")


async def test_a_message_that_makes_no_sense_is_refused_before_it_is_sent(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    for message in (
        OutgoingMessage(id="1", to="", type="text", text="hi"),
        OutgoingMessage(id="2", to=ANN, type="text"),
        OutgoingMessage(id="3", to=ANN, type="image"),
        OutgoingMessage(id="4", to=ANN, type="location"),
        OutgoingMessage(id="5", to=ANN, type="contact"),
        OutgoingMessage(id="6", to=ANN, type="reaction"),
        OutgoingMessage(id="7", to=ANN, type="other", text="hi"),
    ):
        with pytest.raises(CommandError) as refused:
            await worker.send("s", message)
        assert refused.value.code == "invalid"
    with pytest.raises(CommandError) as unknown:
        await worker.send("nobody", OutgoingMessage(id="8", to=ANN, type="text", text="hi"))
    assert unknown.value.code == "not_started"

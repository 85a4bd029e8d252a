"""Every kind of message that phones send, with the real engine: it arrives as what it is, once, with its content."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as e2e

from bot_service.domain.message import InboundMessage, OutgoingMessage, Poll, PollVote
from tests.fake_whatsapp.keys import hkdf
from tests.fake_whatsapp.remote import Remote
from tests.wire import message_contents as contents
from tests.wire.conftest import StartWorker
from tests.wire.worker_driver import WorkerDriver

pytestmark = pytest.mark.wire
BOT, ANN, BEN = "15550001", "15550002", "15550003"
ANN_JID = f"{ANN}@s.whatsapp.net"


def differences(came: InboundMessage, expected: dict[str, Any]) -> dict[str, Any]:
    """The fields of ``expected`` that came otherwise."""
    plain = {name: getattr(came, name) for name in expected}
    return {
        name: plain[name]
        for name, wanted in expected.items()
        if msgspec.to_builtins(plain[name]) != msgspec.to_builtins(wanted) and plain[name] != wanted
    }


async def test_every_kind_arrives_as_what_it_is_in_chats_and_groups(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    await server("group", id="120363", subject="Friends", members=[ANN, BOT, BEN])
    wrong = {}
    for chat in (BOT, "120363@g.us"):
        for name, (message, expected) in contents.CASES.items():
            message_id = await server("send", sender=ANN, chat=chat, kind="raw", message=contents.raw(message))
            came = await worker.message(id=message_id)
            if different := differences(came, expected):
                wrong[name, chat] = different
    assert wrong == {}
    assert len(worker.messages()) == 2 * len(contents.CASES)


async def test_files_in_envelopes_arrive_with_their_bytes(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    for name, (field, kind, envelopes, expected) in contents.FILES.items():
        plain = hashlib.sha256(name.encode()).digest() * 50
        where = await server("upload", kind=kind, data=base64.b64encode(plain).decode(), mime_type="video/mp4")
        message = e2e.Message()
        getattr(message, field).ParseFromString(base64.b64decode(where))
        if "text" in expected:
            getattr(message, field).caption = expected["text"]
        if "album_id" in expected:
            message.messageContextInfo.messageAssociation.parentMessageKey.ID = expected["album_id"]
        for envelope in envelopes:
            message = contents.inside(envelope, message)
        message_id = await server("send", sender=ANN, chat=BOT, kind="raw", message=contents.raw(message))
        came = await worker.message(id=message_id)
        assert differences(came, expected) == {}, name
        assert came.media is not None
        assert came.media.path is not None, name
        assert Path(came.media.path).read_bytes() == plain
        assert came.media.video_note is (field == "ptvMessage")


async def test_an_edit_that_reuses_the_id_of_its_message_is_a_message_of_its_own(
    worker: WorkerDriver, server: Remote
) -> None:
    await worker.pair("s", BOT)
    first = await server("send", sender=ANN, chat=BOT, body="old")
    edit = contents.raw(contents.edit(first, e2e.Message(conversation="new")))
    await server("send", sender=ANN, chat=BOT, kind="raw", id=first, message=edit)
    came = await worker.message(type="edit")
    assert (came.edits, came.text) == (first, "new")
    assert came.id != first


def _vote(poll_id: str, secret: bytes, voter: str, options: list[str], author: str | None = None) -> str:
    """A vote as a phone encrypts it (shown by whatsmeow's `msgsecret.go`)."""
    chosen = e2e.PollVoteMessage(selectedOptions=[hashlib.sha256(option.encode()).digest() for option in options])
    key = hkdf(secret, b"", f"{poll_id}{author or voter}{voter}Poll Vote".encode(), 32)
    nonce = bytes(range(12))
    sealed = AESGCM(key).encrypt(nonce, chosen.SerializeToString(), f"{poll_id}\0{voter}".encode())
    message = contents.made(
        "pollUpdateMessage",
        pollCreationMessageKey={"ID": poll_id, "remoteJID": author or voter, "fromMe": author is None},
        vote={"encPayload": sealed, "encIV": nonce},
    )
    return contents.raw(message)


@pytest.mark.parametrize("chosen", [["Monday"], ["Monday", "Tuesday"], []])
async def test_votes_are_decrypted(worker: WorkerDriver, server: Remote, chosen: list[str]) -> None:
    await worker.pair("s", BOT)
    secret = hashlib.sha256(b"secret").digest()
    poll = contents.made("pollCreationMessageV3", **contents.POLL)
    poll.messageContextInfo.messageSecret = secret
    poll_id = await server("send", sender=ANN, chat=BOT, kind="raw", message=contents.raw(poll))
    await worker.message(id=poll_id)
    await server("send", sender=ANN, chat=BOT, kind="raw", message=_vote(poll_id, secret, ANN_JID, chosen))
    vote = (await worker.message(type="poll_vote")).vote
    assert vote is not None
    assert (vote.poll, vote.unreadable) == (poll_id, False)
    assert vote.hashes == tuple(hashlib.sha256(option.encode()).hexdigest() for option in chosen)


async def test_mentions_quotes_and_reactions_name_people_in_groups(worker: WorkerDriver, server: Remote) -> None:
    group = "120363@g.us"
    await worker.pair("s", BOT)
    await server("group", id="120363", subject="Friends", members=[ANN, BOT, BEN])
    asked = await server("send", sender=ANN, chat=group, body="who?")
    await worker.message(id=asked)
    own = f"{BOT}@s.whatsapp.net"
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"type": "text", "text": "@15550002", "mentions": (ANN_JID,)}, {"mentions": [ANN_JID], "participant": ""}),
        ({"type": "text", "text": "a", "reply_to": asked, "reply_to_sender": ANN_JID}, {"participant": ANN_JID}),
        ({"type": "text", "text": "b", "reply_to": "m0", "reply_to_sender": own}, {"participant": own}),
        ({"type": "text", "text": "c", "reply_to": "UNKNOWN"}, {"participant": "", "replyTo": "UNKNOWN"}),
        ({"type": "location", "latitude": 1.0, "longitude": 2.0, "reply_to": asked}, {"replyTo": asked}),
        (
            {"type": "reaction", "text": "👍", "reaction_to": asked, "reply_to_sender": ANN_JID},
            {"participant": ANN_JID, "fromMe": False},
        ),
        (
            {"type": "reaction", "text": "❤️", "reaction_to": "m0", "reply_to_sender": own, "refers_to_own": True},
            {"participant": own, "fromMe": True},
        ),
    ]
    for number, (parts, expected) in enumerate(cases):
        await worker.send("s", OutgoingMessage(id=f"m{number}", to=group, **parts))
        for reader in (ANN, BEN):
            wanted = {key: parts[key] for key in ("text",) if key in parts}
            got = await server.message_to(reader, kind=parts["type"], **wanted)
            assert {name: got[name] for name in expected} == expected, parts


async def test_edits_revocations_polls_and_forwards_reach_phones(worker: WorkerDriver, server: Remote) -> None:
    group = "120363@g.us"
    await worker.pair("s", BOT)
    await server("group", id="120363", subject="Friends", members=[ANN, BOT, BEN])
    asked = await server("send", sender=ANN, chat=group, body="old news")
    await worker.message(id=asked)
    for chat, reader in ((ANN, ANN), (group, BEN)):
        first = OutgoingMessage(id=f"a-{chat}", to=chat, type="text", text="first")
        await worker.send("s", first)
        sent = await server.message_to(reader, text="first")
        changes: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (
                {"type": "edit", "text": "second", "edits": first.id, "refers_to_own": True},
                {"target": sent["id"], "text": "second", "fromMe": True},
            ),
            ({"type": "revoke", "revokes": first.id, "refers_to_own": True}, {"target": sent["id"], "fromMe": True}),
            ({"type": "text", "text": "copy", "forwarded": True}, {"text": "copy", "forwarded": True}),
            (
                {"type": "poll", "poll": Poll("When?", ("Mon", "Tue"), 1)},
                {"text": "When?", "options": ["Mon", "Tue"], "selectable": 1},
            ),
            ({"type": "poll", "poll": Poll("Any?", ("A", "B"), 0)}, {"text": "Any?", "selectable": 0}),
        ]
        for number, (parts, expected) in enumerate(changes):
            await worker.send("s", OutgoingMessage(id=f"b{number}-{chat}", to=chat, **parts))
            wanted = {"text": expected["text"]} if "text" in expected else {}
            got = await server.message_to(reader, kind=parts["type"], **wanted)
            assert {name: got[name] for name in expected} == expected, parts
    revoke = OutgoingMessage(id="r", to=group, type="revoke", revokes=asked, reply_to_sender=ANN_JID)
    await worker.send("s", revoke)
    got = await server.message_to(BEN, kind="revoke", target=asked)
    assert (got["fromMe"], got["participant"]) == (False, ANN_JID)


async def test_a_vote_in_an_own_poll_is_decrypted_also_after_a_restart(
    start_worker: StartWorker, server: Remote
) -> None:
    worker = await start_worker()
    jid = await worker.pair("s", BOT)
    await server("account", number=ANN)
    await worker.send("s", OutgoingMessage(id="p", to=ANN, type="poll", poll=Poll("When?", ("Mon", "Tue"), 1)))
    got = await server.message_to(ANN, kind="poll")
    await worker.end()
    second = await start_worker()
    await second.begin("s", jid)
    own = f"{BOT}@s.whatsapp.net"
    vote = _vote(got["id"], bytes.fromhex(got["secret"]), ANN_JID, ["Tue"], author=own)
    await server("send", sender=ANN, chat=BOT, kind="raw", message=vote)
    came = (await second.message(type="poll_vote")).vote
    assert came == PollVote("p", hashes=(hashlib.sha256(b"Tue").hexdigest(),))


async def test_a_reaction_outside_of_groups_names_no_person(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    asked = await server("send", sender=ANN, chat=BOT, body="like?")
    await worker.message(id=asked)
    like = OutgoingMessage(id="m1", to=ANN, type="reaction", text="👍", reaction_to=asked, reply_to_sender=ANN_JID)
    await worker.send("s", like)
    got = await server.message_to(ANN, kind="reaction")
    assert (got["participant"], got["fromMe"]) == ("", False)

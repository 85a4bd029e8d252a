"""Contacts, the own profile, presence, calls, stars and blocks: every engine answers alike."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bot_service.domain import directory, people
from bot_service.domain.addresses import STATUS_CHAT
from bot_service.domain.directory import Question
from bot_service.domain.message import OutgoingMessage, Poll
from bot_service.domain.questions import answer_type
from tests.contracts.engines.conftest import Bench
from tests.contracts.engines.outside import ANN, SESSION
from tests.support import waiting
from tests.wire.worker_driver import CommandError, eventually

ANN_JID, ANN_LID = f"{ANN}@s.whatsapp.net", f"9{ANN}@lid"
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256))


async def answer(bench: Bench, question: Question) -> Any:
    found = await bench.worker.command("ask", SESSION, question=msgspec.to_builtins(question))
    return msgspec.convert(found, answer_type(question))


async def accepted(bench: Bench, question: Question) -> Any:
    """The answer once the account has a name or keys, which come some time after the pairing."""

    async def attempt() -> tuple[Any] | None:
        try:
            return (await answer(bench, question),)
        except CommandError as error:
            if error.code != "rejected":
                raise
            return None

    return (await waiting.eventually(attempt, what=f"an answer to {question}"))[0]


async def test_who_wrote_is_a_contact_with_both_addresses(bench: Bench) -> None:
    await bench.pair()
    assert ANN_JID not in [person.jid for person in await answer(bench, people.ListContacts())]
    await bench.outside.write("hello")
    await bench.worker.message(text="hello")

    async def named() -> people.Person | None:
        found = {person.jid: person for person in await answer(bench, people.ListContacts())}
        return person if (person := found.get(ANN_JID)) is not None and person.push_name else None

    person = await waiting.eventually(named, what="a contact with a name")
    assert person.lid == ANN_LID
    details = await answer(bench, people.GetContact(ANN_JID))
    assert (details.jid, details.lid, details.push_name) == (ANN_JID, ANN_LID, person.push_name)
    assert details.about
    for address in (ANN_JID, ANN_LID):
        found = await answer(bench, people.FindAddress(address))
        assert (found.jid, found.lid) == (ANN_JID, ANN_LID)


async def test_contacts_get_a_status_until_it_is_taken_back(bench: Bench) -> None:
    await bench.pair()
    await bench.outside.befriend()

    async def is_contact() -> bool:
        return ANN_JID in [person.jid for person in await answer(bench, people.ListContacts())]

    await waiting.eventually(is_contact, what="Ann among the contacts")
    status = OutgoingMessage("s1", STATUS_CHAT, "text", text="Open", background="#38b42f", font=2)
    await bench.worker.send(SESSION, status)
    await bench.worker.send(SESSION, OutgoingMessage("s2", STATUS_CHAT, "revoke", revokes="s1", refers_to_own=True))

    async def got_both() -> bool:
        return await bench.outside.statuses() == ["text", "revoke"]

    await waiting.eventually(got_both, what="the status and its end")
    with pytest.raises(CommandError) as refused:
        await bench.worker.send(SESSION, OutgoingMessage("s3", STATUS_CHAT, "poll", poll=Poll("?", ("a", "b"))))
    assert refused.value.code == "invalid"


async def test_the_own_profile_is_changed_and_read(bench: Bench) -> None:
    await bench.pair()
    before = await answer(bench, people.GetProfile())
    assert before.jid == bench.jid.partition(":")[0].partition("@")[0] + "@s.whatsapp.net"
    changed = await answer(bench, people.ChangeProfile(about="Open 9–18 ☎"))
    assert changed.about == "Open 9–18 ☎"
    picture = await answer(bench, people.SetPicture(JPEG))
    assert picture
    assert (await answer(bench, people.GetProfile())).picture_id == picture
    await bench.outside.share_keys()
    await accepted(bench, people.ChangeProfile(name="Boutique é"))

    async def renamed() -> bool:
        return bool((await answer(bench, people.GetProfile())).name == "Boutique é")

    await waiting.eventually(renamed, what="the new name")


async def test_presence_needs_a_name_and_is_reported(bench: Bench) -> None:
    await bench.pair()
    if (await answer(bench, people.GetProfile())).name is None:
        with pytest.raises(CommandError) as refused:
            await answer(bench, people.SetPresence(available=True))
        assert refused.value.code == "rejected"
    await bench.outside.share_keys()
    await accepted(bench, people.ChangeProfile(name="Boutique"))
    await accepted(bench, people.SetPresence(available=True))
    await answer(bench, people.FollowPresence(ANN_JID))
    await bench.outside.shows_presence("available")
    data = (await bench.worker.heard(SESSION, "presence")).data
    assert (data["chat"], data["from"], data["state"]) == (ANN_JID, ANN_JID, "available")
    await bench.outside.shows_presence("unavailable")
    data = (await bench.worker.heard(SESSION, "presence", 2)).data
    assert (data["from"], data["state"]) == (ANN_JID, "unavailable")
    assert data["lastSeenMs"] > 1_600_000_000_000


@pytest.mark.parametrize("video", [False, True])
async def test_a_call_is_journalled_and_can_be_rejected(bench: Bench, video: bool) -> None:
    await bench.pair()
    await bench.outside.calls("CALL1", video=video)
    call = await eventually(lambda: next(iter(bench.worker.calls()), None))
    assert call is not None
    assert (call.session, call.id, call.caller, call.video, call.group) == (SESSION, "CALL1", ANN_JID, video, None)
    assert call.at_ms > 1_600_000_000_000
    await answer(bench, people.RejectCall("CALL1", call.caller))
    assert await waiting.eventually(bench.outside.rejected, what="the refusal") == ["CALL1"]


async def test_a_message_is_starred_or_the_engine_says_that_it_cannot(bench: Bench) -> None:
    await bench.pair()
    message_id = await bench.outside.write("remember me")
    await bench.worker.message(text="remember me")
    await bench.outside.share_keys()
    star = people.StarMessage(ANN_JID, message_id, ANN_JID, False, True, 1_800_000_000_000)
    if bench.engine == "neonize":
        with pytest.raises(CommandError) as refused:
            await answer(bench, star)
        assert refused.value.code == "not_supported"
        return
    await accepted(bench, star)
    assert await accepted(bench, msgspec.structs.replace(star, starred=False)) is None


async def test_a_contact_is_blocked_and_unblocked(bench: Bench) -> None:
    await bench.pair()
    assert await answer(bench, people.GetBlocklist()) == []
    assert await answer(bench, people.Block(ANN_JID, True)) == [ANN_JID]
    assert await answer(bench, people.GetBlocklist()) == [ANN_JID]
    assert await answer(bench, people.Block(ANN_JID, False)) == []


async def test_requests_to_join_are_listed_and_their_answer_is_named_as_missing(bench: Bench) -> None:
    await bench.pair()
    group = await answer(bench, directory.CreateGroup("Orders", []))
    assert await answer(bench, directory.ListJoinRequests(group.id)) == []
    await bench.outside.asks_to_join(group.id)
    assert [each.jid for each in await answer(bench, directory.ListJoinRequests(group.id))] == [ANN_JID]
    with pytest.raises(CommandError) as refused:
        await answer(bench, directory.AnswerJoinRequests(group.id, True, [ANN_JID]))
    assert refused.value.code == "not_supported"

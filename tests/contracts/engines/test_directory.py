"""Numbers, pictures and groups: every engine answers alike."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bot_service.domain import directory as ask
from bot_service.domain.group_changes import GroupChange
from bot_service.domain.questions import answer_type
from tests.contracts.engines.conftest import Bench
from tests.contracts.engines.outside import ANN, SESSION
from tests.support import waiting
from tests.wire.worker_driver import CommandError

ANN_JID = f"{ANN}@s.whatsapp.net"
UNUSED = "15559990000"


async def answer(bench: Bench, question: ask.Question) -> Any:
    found = await bench.worker.command("ask", SESSION, question=msgspec.to_builtins(question))
    return msgspec.convert(found, answer_type(question))


async def test_numbers_are_checked_in_their_order(bench: Bench) -> None:
    await bench.pair()
    found = await answer(bench, ask.CheckNumbers([UNUSED, ANN]))
    assert found[0] == ask.NumberCheck(UNUSED, exists=False)
    # The hidden address is given once it is known.
    assert found[1] in (ask.NumberCheck(ANN, True, ANN_JID, lid) for lid in (None, f"9{ANN}@lid"))


async def test_a_person_without_a_picture_has_none(bench: Bench) -> None:
    await bench.pair()
    assert await answer(bench, ask.GetPicture(f"{UNUSED}@s.whatsapp.net")) is None


async def test_the_life_of_a_group(bench: Bench) -> None:
    await bench.pair()
    own = bench.jid.partition(":")[0].partition("@")[0] + "@s.whatsapp.net"
    assert await answer(bench, ask.ListGroups()) == []
    made = await answer(bench, ask.CreateGroup("Orders", [ANN_JID]))
    assert (made.subject, made.owner, made.announce, made.locked) == ("Orders", own, False, False)
    assert set(made.members) == {ask.GroupMember(own, admin=True), ask.GroupMember(ANN_JID)}
    assert made.created_ms > 1_600_000_000_000
    for change, expected in (
        ({"subject": "Orders & Co. 🎉"}, ("Orders & Co. 🎉", "", False, False)),
        ({"description": "é\nsecond line"}, ("Orders & Co. 🎉", "é\nsecond line", False, False)),
        ({"announce": True, "locked": True}, ("Orders & Co. 🎉", "é\nsecond line", True, True)),
        ({"announce": False, "subject": "Orders"}, ("Orders", "é\nsecond line", False, True)),
    ):
        group = await answer(bench, ask.ChangeGroup(made.id, **change))
        assert (group.subject, group.description, group.announce, group.locked) == expected
    assert (await answer(bench, ask.ListGroups()))[0] == await answer(bench, ask.GetGroup(made.id))
    members: list[tuple[ask.MemberAction, list[ask.GroupMember]]] = [
        ("promote", [ask.GroupMember(ANN_JID, admin=True)]),
        ("demote", [ask.GroupMember(ANN_JID)]),
        ("add", [ask.GroupMember(ANN_JID, error=409)]),
        ("remove", [ask.GroupMember(ANN_JID)]),
        ("remove", [ask.GroupMember(ANN_JID, error=404)]),
        ("add", [ask.GroupMember(ANN_JID)]),
    ]
    for action, changed in members:
        found = await answer(bench, ask.ChangeMembers(made.id, action, [ANN_JID]))
        assert [(member.jid, bool(member.error)) for member in found] == [(one.jid, bool(one.error)) for one in changed]
        group = await answer(bench, ask.GetGroup(made.id))
        assert (ask.GroupMember(ANN_JID, admin=True) in group.members) is (action == "promote")
    assert await answer(bench, ask.SetGroupPicture(made.id, b"\xff\xd8\xff a picture"))
    assert await answer(bench, ask.GetPicture(made.id))
    first = await answer(bench, ask.InviteLink(made.id))
    invited = await answer(bench, ask.GetInvitedGroup(first.rpartition("/")[2]))
    assert (invited.id, invited.subject) == (made.id, "Orders")
    assert first.startswith("https://chat.whatsapp.com/")
    assert await answer(bench, ask.InviteLink(made.id)) == first
    second = await answer(bench, ask.InviteLink(made.id, reset=True))
    assert second != first
    await answer(bench, ask.LeaveGroup(made.id))
    assert await answer(bench, ask.ListGroups()) == []
    with pytest.raises(CommandError):
        await answer(bench, ask.JoinGroup(first))
    assert await answer(bench, ask.JoinGroup(second)) == made.id
    assert [group.id for group in await answer(bench, ask.ListGroups())] == [made.id]


async def test_what_happens_to_a_group_is_journalled(bench: Bench) -> None:
    await bench.pair()
    own, third = bench.jid.partition(":")[0].partition("@")[0], "15550007777"
    own_jid, third_jid = f"{own}@s.whatsapp.net", f"{third}@s.whatsapp.net"

    async def came(count: int) -> list[GroupChange]:
        """Those beyond the ones before."""
        await waiting.eventually(lambda: len(bench.worker.group_changes()) >= count, what=f"{count} changes")
        return bench.worker.group_changes()

    group = (await answer(bench, ask.CreateGroup("Orders", [ANN_JID]))).id
    [made] = await came(1)
    assert (made.kind, made.group, made.by, made.session) == ("joined", group, own_jid, SESSION)
    assert made.info is not None
    assert (made.info.subject, len(made.info.members)) == ("Orders", 2)
    await answer(bench, ask.ChangeMembers(group, "promote", [ANN_JID]))
    await bench.outside.changes_group(group, "add", [third])
    await bench.outside.changes_group(group, "subject", text="Orders 🎉")
    await bench.outside.changes_group(group, "locked")
    await bench.outside.changes_group(group, "remove", [third])
    promoted, added, renamed, locked, removed = (await came(6))[1:]
    assert (promoted.kind, promoted.action, promoted.members, promoted.by) == (
        "members",
        "promote",
        (ANN_JID,),
        own_jid,
    )
    assert (added.kind, added.action, added.members, added.by) == ("members", "add", (third_jid,), ANN_JID)
    assert (renamed.kind, renamed.subject, renamed.description, renamed.by) == ("updated", "Orders 🎉", None, ANN_JID)
    assert (locked.kind, locked.locked, locked.subject) == ("updated", True, None)
    assert (removed.action, removed.members) == ("remove", (third_jid,))
    assert all(each.at_ms > 1_600_000_000_000 for each in bench.worker.group_changes())
    await bench.outside.changes_group(group, "remove", [own])
    gone = (await came(7))[6]
    assert (gone.kind, gone.by, gone.members) == ("left", ANN_JID, ())


async def test_a_group_that_does_not_exist_is_refused_by_the_server(bench: Bench) -> None:
    await bench.pair()
    for question in (ask.GetGroup("120399@g.us"), ask.InviteLink("120399@g.us"), ask.JoinGroup("nothing")):
        with pytest.raises(CommandError) as refused:
            await answer(bench, question)
        assert refused.value.code == "rejected"


async def test_a_session_that_is_not_connected_cannot_ask(bench: Bench) -> None:
    await bench.worker.begin(SESSION)
    await bench.worker.heard(SESSION, "qr")
    for question in (ask.ListGroups(), ask.CheckNumbers([ANN]), ask.GetPicture(ANN_JID), ask.LeaveGroup("1203@g.us")):
        with pytest.raises(CommandError) as refused:
            await answer(bench, question)
        assert refused.value.code == "not_connected"


async def test_nothing_that_is_asked_while_a_code_is_shown_ends_the_worker(bench: Bench) -> None:
    await bench.worker.begin(SESSION)
    await bench.worker.heard(SESSION, "qr")
    commands: list[tuple[str, dict[str, Any]]] = [
        ("mark_read", {"chat": ANN_JID, "sender": ANN_JID, "messageIds": ["M1"]}),
        ("typing", {"chat": ANN_JID, "state": "composing"}),
        ("logout", {}),
        ("send", {"message": {"id": "m", "to": ANN_JID, "type": "text", "text": "x"}}),
    ]
    for op, args in commands:
        with pytest.raises(CommandError) as refused:
            await bench.worker.command(op, SESSION, **args)
        assert refused.value.code in ("not_connected", "rejected"), op
    await bench.outside.scan((await bench.worker.heard(SESSION, "qr")).data["code"])
    await bench.worker.heard(SESSION, "offline_sync_completed")

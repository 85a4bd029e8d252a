"""Notices about groups of every kind: what they say is journalled, and none of them stops the messages behind it."""

from __future__ import annotations

import pytest

from tests.fake_whatsapp.remote import Remote
from tests.support.waiting import eventually
from tests.wire.conftest import StartWorker

pytestmark = pytest.mark.wire
BOT, ANN, GROUP = "33700000001", "33700000002", "12036300000000001"
ODD = [
    ("invite", {"code": "Abc"}, None),
    ("ephemeral", {"expiration": "86400", "trigger": "1"}, None),
    ("not_ephemeral", {}, None),
    ("membership_approval_mode", {}, [["group_join", {"state": "on"}]]),
    ("growth_locked", {"type": "invite", "expiration": "1"}, None),
    ("link", {"link_type": "parent_group"}, [["group", {"jid": "120363@g.us", "subject": "All", "s_t": "1"}]]),
    (
        "unlink",
        {"unlink_type": "sub_group", "unlink_reason": "x"},
        [["group", {"jid": "120363@g.us", "subject": "A", "s_t": "1"}]],
    ),
    ("delete", {"reason": "x"}, None),
    (
        "created_membership_requests",
        {"request_method": "invite_link"},
        [["requested_user", {"jid": f"{ANN}@s.whatsapp.net"}]],
    ),
    ("unheard_of", {"a": "b", "who": f"{ANN}@s.whatsapp.net"}, [["inner", {"n": 7}, "text"]]),
    ("add", {}, []),
]


async def test_no_notice_stops_the_messages(server: Remote, start_worker: StartWorker) -> None:
    worker = await start_worker()
    await worker.pair("s", BOT)
    await server("group", id=GROUP, subject="Orders", members=[ANN, BOT])
    for number, (tag, attrs, parts) in enumerate(ODD):
        for by in (ANN, ""):
            await server("group_notice", group=f"{GROUP}@g.us", by=by, nodes=[[tag, attrs, parts]])
        message = await server("send", sender=ANN, chat=BOT if number % 2 else f"{GROUP}@g.us", body=f"{number} {tag}")
        await worker.message(id=message)
    assert "pump_died" not in worker.kinds("s")
    await server("group_notice", group=f"{GROUP}@g.us", by=ANN, nodes=[
        ["subject", {"subject": "New", "s_t": 1, "s_o": f"{ANN}@s.whatsapp.net"}],
        ["description", {"id": "d"}, [["delete"]]],
        ["not_announcement", {"v_id": "3"}],
        ["unlocked", {}],
    ])  # fmt: skip
    found = await eventually(
        lambda: [each for each in worker.group_changes() if each.kind == "updated"], what="a change"
    )
    assert [(each.subject, each.description, each.announce, each.locked) for each in found] == [
        ("New", "", False, False)
    ]


async def test_a_kind_of_link_that_the_library_does_not_know_costs_one_restart(
    server: Remote, start_worker: StartWorker
) -> None:
    worker = await start_worker()
    jid = await worker.pair("s", BOT)
    await server("group", id=GROUP, subject="Orders", members=[ANN, BOT])
    link = ["link", {"link_type": "unheard_of"}, [["group", {"jid": "120363@g.us", "subject": "All", "s_t": "1"}]]]
    await server("group_notice", group=f"{GROUP}@g.us", by=ANN, nodes=[link])
    await worker.heard("s", "pump_died")
    message = await server("send", sender=ANN, chat=BOT, body="behind it")
    await worker.command("stop", "s")
    await worker.begin("s", jid=jid)
    await worker.message(id=message)
    assert worker.kinds("s").count("pump_died") == 1


async def test_members_that_are_named_by_hidden_addresses_have_their_numbers(
    server: Remote, start_worker: StartWorker
) -> None:
    worker = await start_worker()
    await worker.pair("s", BOT)
    await server("group", id=GROUP, subject="Orders", members=[ANN, BOT])
    await server("group_change", group=f"{GROUP}@g.us", by=ANN, change="add", members=["33700000003"], by_lid=True)
    await server("group_change", group=f"{GROUP}@g.us", by=ANN, change="remove", members=[BOT], by_lid=True)
    await eventually(lambda: len(worker.group_changes()) == 2, what="both changes")
    added, left = worker.group_changes()
    assert (added.kind, added.members) == ("members", ("33700000003@s.whatsapp.net",))
    assert left.kind == "left"


async def test_what_happened_while_the_session_was_away_comes_later(server: Remote, start_worker: StartWorker) -> None:
    worker = await start_worker()
    jid = await worker.pair("s", BOT)
    await server("group", id=GROUP, subject="Orders", members=[ANN, BOT])
    await worker.command("stop", "s")
    await server("group_change", group=f"{GROUP}@g.us", by=ANN, change="subject", text="Later")
    await worker.begin("s", jid=jid)
    found = await eventually(worker.group_changes, what="the change")
    assert [each.subject for each in found] == ["Later"]

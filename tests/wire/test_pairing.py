"""A phone is linked by QR and by typed code, survives restarts and kills without another scan, and can be unlinked from both sides."""

from __future__ import annotations

import signal

import pytest

from bot_service.domain.message import OutgoingMessage
from tests.fake_whatsapp.remote import Remote
from tests.wire.conftest import StartWorker
from tests.wire.worker_driver import CommandError, WorkerDriver

pytestmark = pytest.mark.wire
BOT, ANN = "15550001", "15550002"


async def test_a_scanned_code_leads_to_a_session_in_sync(worker: WorkerDriver, server: Remote) -> None:
    jid = await worker.pair("s", BOT)
    assert jid == f"{BOT}:1@s.whatsapp.net"
    kinds = worker.kinds("s")
    assert kinds[:2] == ["started", "connecting"]
    wanted = ["qr", "pair_restart", "connected", "offline_sync_completed"]
    assert [kind for kind in kinds if kind in wanted] == wanted
    code = (await worker.heard("s", "qr")).data
    assert (code["expiresInMs"], code["round"]) == (60_000, 1)
    assert (await worker.heard("s", "paired")).data["lid"] == f"9{BOT}:1@lid"
    assert (await server("account", number=BOT))["companions"] == [1]


async def test_a_typed_code_leads_to_a_session_in_sync(worker: WorkerDriver, server: Remote) -> None:
    await worker.begin("s")
    code = await worker.command("pairing_code", "s", phone=BOT)
    assert len(code) == 9
    assert (await worker.heard("s", "pairing_code")).data["code"] == code
    await server("type_code", number=BOT, code=code)
    assert (await worker.heard("s", "paired")).data["jid"] == f"{BOT}:1@s.whatsapp.net"
    await worker.heard("s", "offline_sync_completed")
    await server("send", sender=ANN, chat=BOT, body="hello")
    await worker.message(text="hello")


async def test_a_wrong_typed_code_pairs_nobody(worker: WorkerDriver, server: Remote) -> None:
    await worker.begin("s")
    await worker.command("pairing_code", "s", phone=BOT)
    await server("type_code", number=BOT, code="AAAA-AAAA")
    await server("send", sender=ANN, chat=ANN, body="time passes")
    assert (await server("account", number=BOT))["companions"] == []
    assert "paired" not in worker.kinds("s")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL, signal.SIGABRT])
async def test_a_session_comes_back_without_a_scan_and_gets_what_was_sent_meanwhile(
    start_worker: StartWorker, server: Remote, end: int
) -> None:
    first = await start_worker()
    jid = await first.pair("s", BOT)
    await server("send", sender=ANN, chat=BOT, body="before")
    await first.message(text="before")
    assert await first.end(end) == (0 if end == signal.SIGTERM else -end)
    for number in range(5):
        await server("send", sender=ANN, chat=BOT, body=f"meanwhile {number}")
    second = await start_worker()
    await second.begin("s", jid)
    await second.heard("s", "offline_sync_completed")
    # A kill may come between the journal and the receipt of "before": it is sent again then, and ignored.
    assert (await second.heard("s", "offline_sync_preview")).data["messages"] in (5, 6)
    await second.message(text="meanwhile 4")
    assert [message.text for message in second.messages()] == ["before", *(f"meanwhile {n}" for n in range(5))]
    assert "qr" not in second.kinds("s")
    await second.send("s", OutgoingMessage(id="m1", to=ANN, type="text", text="still here"))
    await server.message_to(ANN, text="still here")
    assert (await server("phone", number=ANN))["unreadable"] == []


async def test_marks_find_their_message_after_a_restart(start_worker: StartWorker, server: Remote) -> None:
    first = await start_worker()
    jid = await first.pair("s", BOT)
    await server("quiet", number=ANN)
    await first.send("s", OutgoingMessage(id="m1", to=ANN, type="text", text="hi"))
    got = await server.message_to(ANN, text="hi")
    await first.end(signal.SIGKILL)
    second = await start_worker()
    await second.begin("s", jid)
    await second.heard("s", "connected")
    await server("mark", number=ANN, chat=ANN, author=BOT, id=got["id"], kind="read")
    assert (await second.heard("s", "receipt")).data == {
        "messageIds": ["m1"],
        "chat": f"{ANN}@s.whatsapp.net",
        "type": "read",
    }
    await second.send("s", OutgoingMessage(id="m1", to=ANN, type="text", text="hi"))
    assert len(await server("inbox", number=ANN)) == 1


async def test_logging_out_unlinks_the_device_at_the_server(worker: WorkerDriver, server: Remote) -> None:
    jid = await worker.pair("s", BOT)
    await worker.command("logout", "s")
    assert worker.kinds("s")[-1] == "unlinked"
    assert (await server("account", number=BOT))["companions"] == []
    await worker.begin("s", jid)
    assert (await worker.heard("s", "logged_out")).data == {"code": 401, "onConnect": True}
    await worker.command("stop", "s")
    await worker.begin("s")
    await worker.heard("s", "qr")


async def test_nothing_can_be_asked_of_a_session_that_is_not_started(worker: WorkerDriver, server: Remote) -> None:
    jid = await worker.pair("s", BOT)
    await worker.command("stop", "s")
    assert worker.kinds("s")[-1] == "stopped"
    for op, args in (
        ("send", {"message": {"id": "m1", "to": ANN, "type": "text", "text": "hi"}}),
        ("typing", {"chat": ANN, "state": "composing"}),
        ("mark_read", {"chat": ANN, "sender": ANN, "messageIds": ["x"]}),
        ("pairing_code", {"phone": BOT}),
        ("logout", {}),
    ):
        with pytest.raises(CommandError) as refused:
            await worker.command(op, "s", **args)
        assert refused.value.code == "not_started"
    await worker.begin("s", jid)
    await worker.heard("s", "connected", 2)


async def test_eight_abandoned_pairings_do_not_stop_the_next_one(worker: WorkerDriver, server: Remote) -> None:
    for number in range(8):
        await worker.begin("s")
        await worker.heard("s", "qr", number + 1)
        await worker.command("stop", "s")
    code = (await worker.heard("s", "qr", 8)).data
    assert code["round"] == 8
    await worker.pair("other", BOT)


async def test_a_server_that_hangs_up_too_soon_after_pairing_does_not_leave_a_dead_session(
    worker: WorkerDriver, server: Remote
) -> None:
    await server("faults", hasty=True)
    jids = [await worker.pair(f"s{index}", f"1555770{index}") for index in range(6)]
    assert [jid.partition(":")[0].partition("@")[0] for jid in jids] == [f"1555770{index}" for index in range(6)]

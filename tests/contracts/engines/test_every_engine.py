"""What every engine promises to the rest of the service, proved in a real worker process."""

from __future__ import annotations

import asyncio
import signal

import pytest

from bot_service.domain.message import OutgoingMessage
from bot_service.domain.signals import SignalKind
from bot_service.engines import registry
from tests.contracts.engines.conftest import Bench
from tests.contracts.engines.outside import ANN, BOT, SESSION
from tests.support.members import members
from tests.wire.worker_driver import CommandError, eventually

ANN_JID = f"{ANN}@s.whatsapp.net"
STILL_S = 1.0


def text(message_id: str, body: str) -> OutgoingMessage:
    return OutgoingMessage(id=message_id, to=ANN, type="text", text=body)


async def test_pairing_by_qr_shows_codes_and_ends_in_sync(bench: Bench) -> None:
    await bench.pair()
    worker = bench.worker
    shown = (await worker.heard(SESSION, "qr")).data
    assert shown["code"]
    assert 0 < shown["expiresInMs"] <= 60_000
    assert shown["round"] == 1
    assert bench.jid.endswith("@s.whatsapp.net")
    assert bench.jid.startswith(BOT)
    kinds = worker.kinds(SESSION)
    order = [kinds.index(kind) for kind in ("started", "qr", "paired", "connected", "offline_sync_completed")]
    assert order == sorted(order)
    assert set(kinds) <= {kind.value for kind in SignalKind}


async def test_pairing_by_typed_code(bench: Bench) -> None:
    await bench.worker.begin(SESSION)
    await bench.worker.heard(SESSION, "qr")
    code = await bench.worker.command("pairing_code", SESSION, phone=BOT)
    told = (await bench.worker.heard(SESSION, "pairing_code")).data
    assert told["code"] == code
    assert told["expiresInMs"] > 0
    await bench.outside.type_code(code)
    await bench.worker.heard(SESSION, "offline_sync_completed")


async def test_a_message_in_is_journalled_with_who_wrote_it(bench: Bench) -> None:
    await bench.pair()
    message_id = await bench.outside.write("hello")
    came = await bench.worker.message(text="hello")
    assert (came.session, came.id, came.chat, came.sender) == (SESSION, message_id, ANN_JID, ANN_JID)
    assert (came.type, came.from_me, came.is_group) == ("text", False, False)
    assert came.at_ms > 1_600_000_000_000


async def test_messages_in_keep_their_order(bench: Bench) -> None:
    await bench.pair()
    for number in range(20):
        await bench.outside.write(f"number {number}")
    await bench.worker.message(text="number 19")
    assert [message.text for message in bench.worker.messages()] == [f"number {number}" for number in range(20)]


async def test_a_message_out_keeps_our_id_and_is_marked_with_it(bench: Bench) -> None:
    await bench.pair()
    sent = await bench.worker.send(SESSION, text("m1", "hi"))
    assert sent.id == "m1"
    assert sent.at_ms > 1_600_000_000_000
    assert await eventually(lambda: [mark for mark in bench.worker.receipts() if mark.type == "delivered"])
    await bench.outside.read("m1")
    marks = await eventually(lambda: [mark for mark in bench.worker.receipts() if mark.type == "read"])
    assert (marks[0].message_ids, marks[0].chat) == (["m1"], ANN_JID)


async def test_a_message_out_that_is_repeated_is_sent_once(bench: Bench) -> None:
    await bench.pair()
    first = await bench.worker.send(SESSION, text("m1", "once"))
    again = await bench.worker.send(SESSION, text("m1", "once"))
    assert again.id == first.id
    await bench.worker.send(SESSION, text("m2", "then"))
    assert await bench.outside.texts() == ["once", "then"]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_a_session_comes_back_without_pairing_and_gets_what_it_missed(bench: Bench, end: int) -> None:
    await bench.pair()
    await bench.outside.write("before")
    await bench.worker.message(text="before")
    if bench.server is not None:
        await bench.worker.end(end)
        await bench.outside.write("meanwhile")
    await bench.restart(end) if bench.server is None else await bench.restart()
    await bench.worker.begin(SESSION, bench.jid)
    await bench.worker.heard(SESSION, "offline_sync_completed")
    if bench.server is not None:
        await bench.worker.message(text="meanwhile")
    await bench.outside.write("after")
    await bench.worker.message(text="after")
    assert "qr" not in bench.worker.kinds(SESSION)
    texts = [message.text for message in bench.worker.messages()]
    assert len(texts) == len(set(texts))


async def test_a_dropped_link_is_told_and_mended_by_the_engine(bench: Bench) -> None:
    await bench.pair()
    await bench.outside.drop()
    await bench.worker.heard(SESSION, "connected", 2)
    await bench.worker.heard(SESSION, "offline_sync_completed", 2)
    kinds = bench.worker.kinds(SESSION)
    lost = kinds.index("disconnected")
    assert "connected" in kinds[lost:]
    await bench.worker.send(SESSION, text("m1", "still here"))


async def test_one_way_silence_looks_healthy_and_a_new_start_heals_it(bench: Bench) -> None:
    await bench.pair()
    await bench.outside.go_silent()
    before = len(bench.worker.signals)
    await bench.outside.write("can you hear me?")
    await bench.worker.send(SESSION, text("m1", "hi"))
    await asyncio.sleep(STILL_S)
    assert bench.worker.messages() == []
    trouble = {"disconnected", "keepalive_timeout", "stream_error", "pump_died"}
    assert trouble.isdisjoint(told.kind for told in bench.worker.signals[before:])
    await bench.worker.command("stop", SESSION)
    await bench.worker.begin(SESSION, bench.jid)
    await bench.worker.message(text="can you hear me?")


@pytest.mark.parametrize(
    ("deed", "kind"),
    members(
        [
            ("ban", "banned"),
            ("unlink", "logged_out"),
            ("outdate", "outdated"),
            ("replace", "replaced"),
            ("ban_for_an_hour", "temp_banned"),
        ],
        first=3,
    ),
)
async def test_an_end_is_named_and_the_engine_stays_down(bench: Bench, deed: str, kind: str) -> None:
    await bench.pair()
    await getattr(bench.outside, deed)()
    told = await bench.worker.heard(SESSION, kind)
    if kind == "temp_banned":
        assert told.data["code"] == 101
        assert 3_500_000 < told.data["expiresInMs"] <= 3_600_000
    await asyncio.sleep(STILL_S)
    kinds = bench.worker.kinds(SESSION)
    assert kinds.count("connected") == 1
    assert kinds.count(kind) == 1


async def test_an_unlinked_device_stays_logged_out_when_it_is_started_again(bench: Bench) -> None:
    await bench.pair()
    await bench.outside.unlink()
    await bench.worker.heard(SESSION, "logged_out")
    await bench.worker.command("stop", SESSION)
    await bench.worker.begin(SESSION, bench.jid)
    await bench.worker.heard(SESSION, "logged_out", 2)
    assert bench.worker.kinds(SESSION).count("qr") == 1


@pytest.mark.parametrize("code", [400, 415, 418, 501])
async def test_a_refused_connect_carries_its_code(bench: Bench, code: int) -> None:
    await bench.pair()
    await bench.outside.refuse(code)
    assert (await bench.worker.heard(SESSION, "connect_refused")).data["code"] == code


async def test_a_dead_pump_is_told_and_a_new_start_heals_it(bench: Bench) -> None:
    await bench.pair()
    await bench.outside.kill_pump()
    assert (await bench.worker.heard(SESSION, "pump_died")).data["reason"]
    await bench.outside.write("not lost")
    await bench.worker.begin(SESSION, bench.jid)
    await bench.worker.message(text="not lost")


async def test_a_locked_chat_is_an_error_with_a_name_and_a_signal(bench: Bench) -> None:
    await bench.pair()
    await bench.outside.timelock()
    with pytest.raises(CommandError) as refused:
        await bench.worker.send(SESSION, text("m1", "hi"))
    assert refused.value.code == "timelocked"
    await bench.worker.heard(SESSION, "timelock")


async def test_stop_keeps_the_pairing_and_logout_ends_it(bench: Bench) -> None:
    await bench.pair()
    await bench.worker.command("stop", SESSION)
    await bench.worker.command("stop", SESSION)
    assert bench.worker.kinds(SESSION)[-1] == "stopped"
    await bench.worker.begin(SESSION, bench.jid)
    await bench.worker.heard(SESSION, "connected", 2)
    await bench.worker.command("logout", SESSION)
    assert bench.worker.kinds(SESSION)[-1] == "unlinked"
    await bench.worker.begin(SESSION)
    await bench.worker.heard(SESSION, "qr", 2)


async def test_nothing_can_be_asked_of_a_session_that_does_not_run(bench: Bench) -> None:
    with pytest.raises(CommandError) as refused:
        await bench.worker.send(SESSION, text("m1", "hi"))
    assert refused.value.code == "not_started"


async def test_what_cannot_be_sent_is_refused_as_invalid(bench: Bench) -> None:
    await bench.pair()
    for message in (
        OutgoingMessage(id="1", to=ANN, type="text"),
        OutgoingMessage(id="2", to=ANN, type="image"),
        OutgoingMessage(id="3", to=ANN, type="location"),
        OutgoingMessage(id="4", to=ANN, type="reaction"),
    ):
        with pytest.raises(CommandError) as refused:
            await bench.worker.send(SESSION, message)
        assert refused.value.code == "invalid", message


async def test_typing_knows_three_states_and_no_other(bench: Bench) -> None:
    await bench.pair()
    for state in ("composing", "recording", "paused"):
        await bench.worker.command("typing", SESSION, chat=ANN_JID, state=state)
    with pytest.raises(CommandError) as refused:
        await bench.worker.command("typing", SESSION, chat=ANN_JID, state="dancing")
    assert refused.value.code == "invalid"


async def test_messages_can_be_marked_as_read(bench: Bench) -> None:
    await bench.pair()
    message_id = await bench.outside.write("hello")
    await bench.worker.message(text="hello")
    answer = await bench.worker.command("mark_read", SESSION, chat=ANN_JID, sender=ANN_JID, messageIds=[message_id])
    assert answer is None, "the engine has nothing to add"


async def test_simulating_is_for_the_simulator_only(bench: Bench) -> None:
    await bench.pair()
    if bench.engine == "simulator":
        await bench.worker.command("simulate", SESSION, action="inbox")
        return
    with pytest.raises(CommandError) as refused:
        await bench.worker.command("simulate", SESSION, action="inbox")
    assert refused.value.code == "not_supported"


async def test_a_worker_ends_cleanly_on_sigterm_with_everything_journalled(bench: Bench) -> None:
    await bench.pair()
    for number in range(30):
        await bench.outside.write(f"number {number}")
    await bench.worker.message(text="number 29")
    assert await bench.worker.end(signal.SIGTERM) == 0
    assert len(bench.worker.messages()) == 30


@pytest.mark.parametrize("chosen", [None, 1_052_000_000])
async def test_a_worker_announces_the_client_build_that_was_ordered_and_says_so(
    bench: Bench, chosen: int | None
) -> None:
    library = registry.client_library(bench.engine)
    build = 0
    if library is not None:
        build = chosen or library.builtin_build()
        bench.settings = {"client_build": build}
        if chosen is not None:
            bench.settings["client_library"] = library.make(chosen, bench.data_dir / "engine")
        await bench.restart()
    assert bench.worker.snapshot is not None
    assert bench.worker.snapshot.client_build == build
    await bench.pair()
    assert await bench.outside.announced() == build
    await bench.restart()
    await bench.worker.begin(SESSION, bench.jid)
    await bench.worker.heard(SESSION, "offline_sync_completed")
    assert await bench.outside.announced() == build


async def test_a_copy_of_the_library_that_cannot_be_loaded_is_replaced_by_the_builtin_one(bench: Bench) -> None:
    library = registry.client_library(bench.engine)
    if library is None:
        # An engine without a version has nothing to load: the worker says so and runs.
        assert bench.worker.snapshot is not None
        assert bench.worker.snapshot.client_build == 0
        return
    damaged = bench.data_dir / "damaged.so"
    damaged.write_bytes(b"\x7fELF and nothing more")
    bench.settings = {"client_build": 1052000000, "client_library": damaged}
    await bench.restart()
    assert bench.worker.snapshot is not None
    assert bench.worker.snapshot.client_build == library.builtin_build()
    await bench.pair()
    assert await bench.outside.announced() == library.builtin_build()

"""Each row of the reaction table that the wire can produce: what the worker says of it, and how often the engine dials again."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from tests.fake_whatsapp.remote import Remote
from tests.wire.conftest import StartWorker
from tests.wire.worker_driver import WorkerDriver, eventually

pytestmark = [pytest.mark.wire, pytest.mark.timeout(300), pytest.mark.deep]
BOT, ANN = "15550001", "15550002"
STILL_S = 2.2


async def attempts(server: Remote, number: str = BOT) -> int:
    return len((await server("account", number=number))["attempts"])


async def stays_down(server: Remote, count: int) -> None:
    """The engine itself dials at once or within two seconds; later it has given up."""
    await asyncio.sleep(STILL_S)
    assert await attempts(server) == count


async def test_a_dropped_socket_is_told_and_dialled_again(worker: WorkerDriver, server: Remote) -> None:
    await worker.pair("s", BOT)
    await server("drop", number=BOT)
    await worker.heard("s", "connected", 2)
    kinds = worker.kinds("s")
    assert kinds[kinds.index("disconnected") :][:3] == ["disconnected", "connecting", "connected"]
    assert kinds.count("disconnected") == 1
    assert await attempts(server) == 2


@pytest.mark.parametrize(
    ("attrs", "conflict", "kind", "data", "again"),
    [
        ({"code": "503"}, None, "server_unavailable", {"code": 503}, True),
        ({"code": "515"}, None, "server_unavailable", {"code": 515}, True),
        ({"code": "777"}, None, "stream_error", {"signature": "777/"}, True),
        ({}, "replaced", "replaced", {}, False),
        ({"code": "401"}, "device_removed", "logged_out", {"code": 401, "onConnect": False}, False),
    ],
)
async def test_an_ended_stream_is_named_and_dialled_again_only_when_that_can_help(
    worker: WorkerDriver,
    server: Remote,
    attrs: dict[str, str],
    conflict: str | None,
    kind: str,
    data: dict[str, Any],
    again: bool,
) -> None:
    await worker.pair("s", BOT)
    await server("stream_error", number=BOT, attrs=attrs, conflict=conflict)
    assert (await worker.heard("s", kind)).data == data
    if again:
        await worker.heard("s", "connected", 2)
        assert await attempts(server) == 2
    else:
        await stays_down(server, 1)
        assert worker.kinds("s").count("connected") == 1


@pytest.mark.parametrize(
    ("failure", "kind", "data"),
    [
        ({"reason": "401"}, "logged_out", {"code": 401, "onConnect": True}),
        ({"reason": "403"}, "primary_gone", {"code": 403}),
        ({"reason": "406"}, "banned", {"code": 406}),
        ({"reason": "402", "code": "101", "expire": "3600"}, "temp_banned", {"code": 101, "expiresInMs": 3_600_000}),
        ({"reason": "405"}, "outdated", {"code": 405}),
        ({"reason": "409"}, "outdated", {"code": 409}),
        ({"reason": "400"}, "connect_refused", {"code": 400}),
        ({"reason": "415"}, "connect_refused", {"code": 415}),
        ({"reason": "418"}, "connect_refused", {"code": 418}),
        ({"reason": "501"}, "connect_refused", {"code": 501}),
    ],
)
async def test_a_refused_login_is_named_and_never_tried_again_by_the_engine(
    worker: WorkerDriver, server: Remote, failure: dict[str, str], kind: str, data: dict[str, Any]
) -> None:
    await worker.pair("s", BOT)
    await server("faults", login_failures={BOT: [failure]}, forever=[BOT])
    await server("drop", number=BOT)
    assert (await worker.heard("s", kind)).data == data
    await stays_down(server, 2)
    assert worker.kinds("s").count(kind) == 1
    assert "pump_died" not in worker.kinds("s")


@pytest.mark.parametrize("reason", ["500", "503"])
async def test_a_server_in_trouble_is_tried_again_by_the_engine(
    worker: WorkerDriver, server: Remote, reason: str
) -> None:
    await worker.pair("s", BOT)
    await server("faults", login_failures={BOT: [{"reason": reason}, {"reason": reason}]})
    await server("drop", number=BOT)
    await worker.heard("s", "server_unavailable", 2)
    await worker.heard("s", "connected", 2)
    assert await attempts(server) == 4


async def test_a_login_refused_right_after_pairing_is_told_after_the_pairing(
    worker: WorkerDriver, server: Remote
) -> None:
    await server("faults", login_failures={BOT: [{"reason": "403"}]})
    await worker.begin("s")
    await server("scan", code=(await worker.heard("s", "qr")).data["code"], number=BOT)
    await worker.heard("s", "primary_gone")
    await worker.heard("s", "paired")
    kinds = [signal.kind for signal in worker.signals if signal.session == "s"]
    assert kinds.index("paired") < kinds.index("primary_gone")


async def test_a_first_connect_that_fails_is_told_and_left_to_the_supervisor(
    worker: WorkerDriver, server: Remote
) -> None:
    await server("faults", refuse_proxy=True)
    await worker.begin("s")
    assert "Forbidden" in (await worker.heard("s", "connect_error")).data["reason"]
    await server("heal")
    await worker.pair("s", BOT)


async def test_a_receipt_that_kills_the_event_pump_is_told_and_the_engine_is_taken_offline(
    worker: WorkerDriver, server: Remote
) -> None:
    jid = await worker.pair("s", BOT)
    await server("mark", number=ANN, chat=ANN, author=BOT, id="X", kind="server-error")
    await worker.heard("s", "pump_died")

    async def offline() -> bool:
        return not (await server("account", number=BOT))["online"]

    await server.wait(offline)
    await server("send", sender=ANN, chat=BOT, body="not lost")
    await worker.begin("s", jid)
    assert (await worker.message(text="not lost")).session == "s"


async def test_sessions_of_a_worker_that_aborts_come_back_in_another(start_worker: StartWorker, server: Remote) -> None:
    first = await start_worker()
    jids = {name: await first.pair(name, f"1555100{index}") for index, name in enumerate("abcd")}
    assert await first.end(signal.SIGABRT) == -signal.SIGABRT
    second = await start_worker()
    await asyncio.gather(*(second.begin(name, jid) for name, jid in jids.items()))
    for name in jids:
        await second.heard(name, "offline_sync_completed")


async def test_twenty_sessions_start_stop_and_send_at_once_without_an_abort(
    worker: WorkerDriver, server: Remote
) -> None:
    names = [f"s{number}" for number in range(20)]
    numbers = {name: f"1555200{index:02}" for index, name in enumerate(names)}
    jids = dict(zip(names, await asyncio.gather(*(worker.pair(name, numbers[name]) for name in names)), strict=True))
    for turn in range(3):
        sends = [worker.command("typing", name, chat=ANN, state="composing") for name in names[::2] for _ in range(5)]
        stops = [worker.command("stop", name) for name in names[1::2]]
        await asyncio.gather(*sends, *stops)
        sends = [worker.command("typing", name, chat=ANN, state="paused") for name in names[::2] for _ in range(5)]
        begins = [worker.begin(name, jids[name]) for name in names[1::2]]
        await asyncio.gather(*sends, *begins)
        for name in names[1::2]:
            await worker.heard(name, "connected", turn + 2)
    assert worker.process is not None
    assert worker.process.returncode is None


@pytest.mark.long
@pytest.mark.deep
async def test_the_slow_signs_of_the_engine_come_in_their_time(worker: WorkerDriver, server: Remote) -> None:
    """One test for all of them, because the engine's own clock cannot be shortened: pings every 20 to 30 s, codes for 20 s."""
    await worker.pair("s", BOT)
    await server("options", qr_codes=2)
    await worker.begin("codes")
    await server("faults", ignore_pings=[BOT])
    first = await worker.heard("codes", "qr")
    assert first.data["expiresInMs"] == 20_000
    second = await worker.heard("codes", "qr", 2)
    assert second.data["code"] != first.data["code"]
    timeout = await worker.heard("s", "keepalive_timeout")
    assert timeout.data["errors"] >= 1
    await server("faults", ignore_pings=[])
    await worker.heard("codes", "qr_exhausted")
    await worker.heard("s", "keepalive_restored")
    ages = await eventually(lambda: [pulse.frames["s"] for pulse in worker.pulses if "s" in pulse.frames])
    assert ages[-1][0] is not None

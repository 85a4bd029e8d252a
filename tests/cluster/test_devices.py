"""Replicas with the real engine on one PostgreSQL: sessions move with their devices, and nothing is paired again."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from tests.cluster.replicas import postgresql_server
from tests.cluster.test_media import file
from tests.cluster.whatsapp import ANN, WhatsApp, number_of, whatsapp
from tests.fake_whatsapp.remote import Remote, ServerProcess
from tests.support import postgresql
from tests.support.ports import free_port
from tests.support.postgresql import PostgreSQL
from tests.support.processes import API_KEY, bot
from tests.support.waiting import eventually
from tests.wire import programs

pytestmark = [pytest.mark.wire, pytest.mark.system, pytest.mark.long, pytest.mark.timeout(300), *postgresql.needed()]

SESSIONS = [f"phone-{number:03}" for number in range(4)]
WITHIN_S = 10.0


@pytest.fixture(scope="session")
def phones_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("whatsapp"))
    yield process
    process.stop()


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with postgresql_server() as started:
        yield started


@pytest.fixture
async def two(tmp_path: Path, server: PostgreSQL, phones_process: ServerProcess) -> AsyncIterator[WhatsApp]:
    """Two replicas with four READY sessions in fair shares."""
    async with Remote(phones_process) as phones_at, whatsapp(tmp_path, server, phones_at, 2) as made:
        await made.pair(*SESSIONS)
        await made.even(0, 1)
        await made.ready(0, 4)
        yield made


async def talk(made: WhatsApp, number: int, name: str) -> None:
    """Each session sends a message that is read, and gets an answer that is stored, by way of any replica."""
    for session in SESSIONS:
        text = f"{name} from {session}"
        await made.clients[number].post(f"/api/sessions/{session}/messages", {"to": ANN, "text": text})
        await made.phones_at.message_to(ANN, text=text)
        answer = await made.phones_at("send", sender=ANN, chat=number_of(session), body=f"re {text}")
        await eventually(partial(_is_stored, made, session, answer), what="the answer in PostgreSQL")
    assert (await made.phones_at("phone", number=ANN))["unreadable"] == []


@pytest.mark.deep
async def test_sessions_of_a_replica_that_is_gone_go_on_elsewhere(two: WhatsApp) -> None:
    await two.phones_at("send", sender=ANN, chat=number_of(SESSIONS[0]), body="hello")
    await talk(two, 0, "before")
    registered = (await two.stats())["registrations"]
    two.end(1)
    ended_s = time.monotonic()
    await eventually(lambda: two.shares() == {0: 4}, every_s=0.05, what="other owners")
    await two.ready(0, 4)
    assert time.monotonic() - ended_s < WITHIN_S
    await talk(two, 0, "after")
    stats = await two.stats()
    assert (stats["registrations"], stats.get("doubled", 0), replaced(two)) == (registered, 0, 0)


async def test_what_a_lost_replica_received_and_did_not_store_is_stored_by_the_next_owner(two: WhatsApp) -> None:
    """Its service stands still, so that its workers' rows wait; then the machine is gone for good."""
    await talk(two, 0, "before")
    held = [session for session, owner in two.replica_of().items() if owner == 1]
    two.programs[1].signal(signal.SIGSTOP)
    sent = set()
    for number in range(5):
        for session in held:
            message = await two.phones_at("send", sender=ANN, chat=number_of(session), body=f"late {number}")
            sent.add((session, str(message)))
    await eventually(lambda: two.waiting() == set(held), every_s=0.02, what="rows that wait")
    two.end(1)
    two.lose_disk(1)
    await eventually(lambda: two.shares() == {0: 4}, every_s=0.05, what="other owners")
    await eventually(lambda: sent <= two.stored(), every_s=0.1, what="the messages of the lost replica")
    await eventually(lambda: not two.waiting(), what="the end of the rows")
    counted = two.rows("SELECT max(n) FROM (SELECT count(*) AS n FROM messages GROUP BY session, message_id) AS each")
    assert counted == [["1"]]
    assert two.rows("SELECT count(*) FROM events WHERE type = 'message' AND convert_from(body, 'UTF8') LIKE '%late %'") == [
        [str(len(sent))]
    ]  # fmt: skip
    await two.ready(0, 4)
    await talk(two, 0, "after")


@pytest.mark.deep
async def test_a_file_that_a_lost_replica_received_and_sent_is_kept(two: WhatsApp) -> None:
    held = next(session for session, owner in two.replica_of().items() if owner == 1)
    picture = bytes(range(256)) * 2500
    data = base64.b64encode(picture).decode()
    arrived = await two.phones_at(
        "send", sender=ANN, chat=number_of(held), kind="image", data=data, mime_type="image/png"
    )
    await eventually(partial(_is_stored, two, held, arrived), what="the picture in PostgreSQL")
    assert await file(two.clients[0], held, str(arrived)) == (200, picture)
    # Accepted by one replica, and sent by the worker of the other one, which reads it from its own disk.
    form = aiohttp.FormData({"to": ANN, "type": "image"})
    form.add_field("file", BytesIO(picture), filename="a.png", content_type="image/png")
    url = f"{two.clients[0].url}/api/sessions/{held}/messages"
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.post(url, data=form) as answer:
        sent = str((await answer.json())["id"])
    got = await two.phones_at.message_to(ANN, kind="image")
    assert (
        base64.b64decode(await two.phones_at("file", kind="image", path=got["directPath"], key=got["mediaKey"]))
        == picture
    )
    two.end(1)
    two.lose_disk(1)
    for message in (str(arrived), sent):
        assert await file(two.clients[0], held, message) == (200, picture)


def replaced(made: WhatsApp) -> int:
    """How often a client was thrown off by another one, as sessions remember it."""
    return int(made.rows("SELECT count(*) FROM transitions WHERE reason LIKE 'replaced%'")[0][0])


def _is_stored(made: WhatsApp, session: str, message: str) -> bool:
    return (session, message) in made.stored()


@pytest.mark.deep
async def test_workers_that_stood_still_are_replaced_where_they_are(two: WhatsApp) -> None:
    """Their replica keeps its lease: it ends them, and its next worker fences off what they still write."""
    await two.phones_at("send", sender=ANN, chat=number_of(SESSIONS[0]), body="hello")
    await talk(two, 0, "before")
    stopped = two.programs[1].worker_pids()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(20.0)
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    await two.ready(0, 4)
    await talk(two, 0, "after")
    assert two.shares() == {0: 2, 1: 2}
    assert replaced(two) == 0


@pytest.mark.deep
@pytest.mark.parametrize("whole", [True, False], ids=["service-and-workers", "service"])
async def test_a_replica_that_stood_still_throws_nobody_off(two: WhatsApp, whole: bool) -> None:
    await two.phones_at("send", sender=ANN, chat=number_of(SESSIONS[0]), body="hello")
    await talk(two, 0, "before")
    stopped = two.family(1) if whole else [two.programs[1].pid]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    stopped_s = time.monotonic()
    await eventually(lambda: two.shares() == {0: 4}, every_s=0.05, what="other owners")
    await two.ready(0, 4)
    await asyncio.sleep(max(0.0, stopped_s + 20.0 - time.monotonic()))
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    await eventually(lambda: "replica.lease_over" in two.programs[1].output(), what="the end of its lease")
    await two.even(0, 1)
    await two.ready(0, 4)
    await talk(two, 1, "after")
    assert replaced(two) == 0
    assert (await two.stats())["registrations"] == len(SESSIONS)


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({}, "DEVICE_STORE_ASYNC: this PostgreSQL has no synchronous standby"),
        ({"POSTGRESQL_PREVIEW": "false"}, "PostgreSQL is not ready for production"),
        ({"REPLICA_URL": "", "DEVICE_STORE_URL": "postgresql://a@b/c"}, "DEVICE_STORE_URL: devices are files"),
    ],
    ids=["no-standby", "production", "no-replica"],
)
async def test_what_a_replica_refuses_at_its_start(
    tmp_path: Path, server: PostgreSQL, env: dict[str, str], named: str
) -> None:
    port = free_port()
    settings = {
        "ENGINE": "neonize", "DATABASE_URL": server.url(), "POSTGRESQL_PREVIEW": "true",
        "REPLICA_URL": f"http://127.0.0.1:{port}", **env,
    }  # fmt: skip
    program = bot(tmp_path, port=port, **settings)
    program.start()
    try:
        assert await program.exit_code() == 2
        assert named in program.output()
    finally:
        program.close()


@pytest.mark.deep
async def test_a_deleted_or_unlinked_session_leaves_no_device(two: WhatsApp) -> None:
    devices = "SELECT (SELECT count(*) FROM whatsmeow_device), count(jid), count(*) FROM veilleur_devices"
    assert two.rows(devices) == [["4", "4", "4"]]
    unlinked, deleted = SESSIONS[:2]
    await two.clients[0].post(f"/api/sessions/{unlinked}/logout")
    await eventually(lambda: two.rows(devices) == [["3", "3", "4"]], what="the device being gone")
    status, _ = await two.clients[1].call("DELETE", f"/api/sessions/{deleted}")
    assert status == 204
    await eventually(lambda: two.rows(devices) == [["2", "2", "3"]], what="the device being gone")
    # The same names again, with other devices.
    await two.clients[0].post(f"/api/sessions/{unlinked}/start")
    await scan(two, unlinked)
    await programs.pair(two.clients[1], two.phones_at, deleted, number_of(deleted))
    assert two.rows(devices) == [["4", "4", "4"]]
    await two.phones_at("send", sender=ANN, chat=number_of(SESSIONS[0]), body="hello")
    await talk(two, 0, "again")


async def scan(made: WhatsApp, session: str) -> None:
    """Pair a session that shows a code."""

    async def code() -> str | None:
        status, body = await made.clients[0].call("GET", f"/api/sessions/{session}/qr")
        return str(body["qr"]) if status == 200 else None

    shown = await eventually(code, every_s=0.05, what="a QR code")
    await made.phones_at("scan", code=shown, number=number_of(session))
    await programs.until_state(made.clients[0], session, "READY")

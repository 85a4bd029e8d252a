"""``veilleur sessions export``, ``import`` and ``take-back`` between two running services with the simulator."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.processes import Client, Program
from tests.support.receiver import Receiver
from tests.support.sessions import paired, reaches
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]
ANN, BOB = "33612345678", "4915112345678"
PASSPHRASE = "correct horse battery"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


class Machine:
    """One running service and a terminal on it."""

    def __init__(self, program: Program, client: Client) -> None:
        self.program, self.client = program, client
        self.data_dir = Path(program.env["DATA_DIR"])
        self.terminal = Terminal(self.data_dir, program.url)

    async def says(self, command: str, *more: str, typed: str | None = None, code: int = 0) -> str:
        return await asyncio.to_thread(self.terminal.says, command, *more, typed=typed, code=code)


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[tuple[Machine, Machine]]:
    """A and B."""
    one, other = (processes.bot(tmp_path, name=name, WEBHOOK_ALLOW_PRIVATE="true") for name in "ab")
    async with one.running(), other.running(), Client(one.url) as a, Client(other.url) as b:
        yield Machine(one, a), Machine(other, b)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """A file with the passphrase."""
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE)
    file.chmod(0o600)
    return str(file)


async def queue_unsent(a: Client) -> list[str]:
    """Messages that wait, because the link is down: a text, a picture, and one with a key. Their ids."""
    await a.post("/api/sessions/shop/simulate", {"action": "message", "from": ANN, "text": "hello"})
    await a.post("/api/sessions/shop/simulate", {"action": "offline", "seconds": 600})
    await reaches(a, "shop", "RECONNECTING")
    picture = {"mimeType": "image/png", "data": base64.b64encode(PICTURE).decode()}
    first = await a.post("/api/sessions/shop/messages", {"to": ANN, "type": "text", "text": "one"})
    second = await a.post("/api/sessions/shop/messages", {"to": ANN, "type": "image", "media": picture})
    third = await a.post(
        "/api/sessions/shop/messages", {"to": BOB, "type": "text", "text": "three"}, **{"Idempotency-Key": "order-7"}
    )
    return [each["id"] for each in (first, second, third)]


async def test_a_session_moves_with_all_that_it_needs(
    machines: tuple[Machine, Machine], tmp_path: Path, secret: str, receiver: Receiver
) -> None:
    a, b = machines
    await paired(a.client, "shop")
    await a.client.call("PATCH", "/api/sessions/shop", {"name": "Boutique", "metadata": {"city": "Lyon"}})
    await a.client.call("PATCH", "/api/sessions/shop", {"proxy": "socks5://u:pw@127.0.0.1:1080"})
    await a.client.post("/api/webhooks", {"url": f"{receiver.url}/hook", "session": "shop", "events": ["message"]})
    ids = await queue_unsent(a.client)
    before = await a.client.get("/api/sessions/shop")
    file = tmp_path / "shop.pairing"

    told = await a.says("sessions export shop", "--to", str(file), "--passphrase-file", secret)
    assert "stopped here for good" in told
    assert file.stat().st_mode & 0o777 == 0o600
    for plain in (b"Boutique", b"socks5", PICTURE[:40], b"order-7"):
        assert plain not in file.read_bytes()
    # What waited is not sent here, and says why.
    for message in ids:
        waited = await a.client.get(f"/api/sessions/shop/messages/{message}")
        assert (waited["state"], waited["error"]) == ("failed", "exported")
    status, problem = await a.client.call("POST", "/api/sessions/shop/messages", {"to": ANN, "text": "late"})
    assert (status, problem["code"], problem["reason"]) == (409, "sending_frozen", "exported")

    told = await b.says("sessions import", str(file), "--id", "moved", "--passphrase-file", secret)
    assert "Session moved is imported. It connects now." in told
    now = await reaches(b.client, "moved", "READY", "RECONNECTING")
    for name in ("name", "metadata", "jid", "proxy"):
        assert now[name] == before[name], name
    await b.client.post("/api/sessions/moved/simulate", {"action": "heal"})
    await reaches(b.client, "moved", "READY")

    async def sent() -> bool:
        states = [(await b.client.get(f"/api/sessions/moved/messages/{each}"))["state"] for each in ids]
        return "queued" not in states and "failed" not in states

    await eventually(sent, every_s=0.1, what="what waited on A being sent by B")
    async with b.client._http.get(f"{b.program.url}/api/sessions/moved/messages/{ids[1]}/media") as picture:
        assert await picture.read() == PICTURE
    again = await b.client.post(
        "/api/sessions/moved/messages", {"to": BOB, "type": "text", "text": "three"}, **{"Idempotency-Key": "order-7"}
    )
    assert again["id"] == ids[2]
    await b.client.post("/api/sessions/moved/simulate", {"action": "message", "from": ANN, "text": "to the webhook"})

    def called() -> bool:
        return any("to the webhook" in request.raw.decode() for request in receiver.requests)

    await eventually(called, what="the webhook that moved along")
    hook = (await b.client.get("/api/webhooks"))["webhooks"][0]
    assert (hook["session"], hook["events"]) == ("moved", ["message"])


async def test_each_wrong_import_is_refused_with_its_field_and_changes_nothing(
    machines: tuple[Machine, Machine], tmp_path: Path, secret: str
) -> None:
    a, b = machines
    await paired(a.client, "shop")
    file = tmp_path / "shop.pairing"
    await a.says("sessions export shop", "--to", str(file), "--passphrase-file", secret)
    given = {"file": base64.b64encode(file.read_bytes()).decode(), "passphrase": PASSPHRASE}
    await b.client.post("/api/sessions", {"id": "shop", "start": False})
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    cases: list[tuple[Machine, dict[str, Any], int, str, str]] = [
        (b, {"passphrase": "correct horse batterx"}, 422, "invalid", "passphrase"),
        (b, {"passphrase": ""}, 422, "invalid", "passphrase"),
        (b, {"file": base64.b64encode(damaged).decode()}, 422, "invalid", "file"),
        (b, {"file": given["file"][:400]}, 422, "invalid", "file"),
        (b, {"file": "no base64!"}, 422, "invalid", "file"),
        (b, {}, 409, "exists", "id"),
        (a, {"id": "second"}, 409, "already_paired", "file"),
    ]
    for machine, more, status, code, field in cases:
        answer = await machine.client.call("POST", "/api/sessions/import", {**given, **more})
        assert (answer[0], answer[1]["code"], [each["field"] for each in answer[1]["errors"]]) == (
            status,
            code,
            [field],
        ), more
    assert [each["id"] for each in (await b.client.get("/api/sessions"))["sessions"]] == ["shop"]
    assert sorted(path.name for path in b.data_dir.glob("simulator/*.phone")) == []

    # The same pairing is there once, whatever its id.
    await b.client.post("/api/sessions/import", {**given, "id": "moved"})
    status, problem = await b.client.call("POST", "/api/sessions/import", {**given, "id": "third"})
    assert (status, problem["code"]) == (409, "already_paired")
    both = await asyncio.gather(
        *(a.client.call("POST", "/api/sessions/import", {**given, "id": f"x{number}"}) for number in range(3))
    )
    assert {answer[1]["code"] for answer in both} == {"already_paired"}


async def test_a_pairing_is_taken_back_only_on_purpose(
    machines: tuple[Machine, Machine], tmp_path: Path, secret: str
) -> None:
    a, _ = machines
    await paired(a.client, "shop")
    file = tmp_path / "shop.pairing"
    # Before anything is asked: the place and the passphrase.
    file.write_text("mine")
    assert "never overwritten" in await a.says(
        "sessions export shop", "--to", str(file), "--passphrase-file", secret, code=2
    )
    file.unlink()
    assert "--passphrase-file is needed" in await a.says("sessions export shop", "--to", str(file), typed="", code=2)
    short = await a.says("sessions export shop", "--to", str(file), "--passphrase-file", "-", typed="short", code=1)
    assert "passphrase" in short
    assert not list(tmp_path.glob("shop.pairing*"))
    assert (await a.client.get("/api/sessions/shop"))["state"] == "READY"

    await a.says("sessions export shop", "--to", str(file), "--passphrase-file", "-", typed=PASSPHRASE)
    assert "exported" in await a.says("sessions start shop", code=1)
    # A restart of the service changes nothing, and an export that got lost is made once more.
    a.program.kill()
    a.program.start()
    await a.program.ready()
    now = await a.client.get("/api/sessions/shop")
    assert (now["state"], now["reason"], now["wanted"]) == ("FENCED", "exported", "stop")
    os.unlink(file)
    await a.says("sessions export shop", "--to", str(file), "--passphrase-file", secret)

    assert "runs nowhere else?" in await a.says("sessions take-back shop", typed="n\n", code=1)
    await a.says("sessions take-back shop", "--yes")
    assert "not_exported" in await a.says("sessions take-back shop", "--yes", code=1)
    await a.says("sessions start shop")
    await reaches(a.client, "shop", "READY")

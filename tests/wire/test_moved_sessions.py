"""A number moves from one machine to another with the real engine: nothing is lost, and it never logs in twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fake_whatsapp.remote import Remote
from tests.support.processes import Client, Program
from tests.support.waiting import eventually
from tests.wire import programs

pytestmark = [pytest.mark.wire, pytest.mark.system, pytest.mark.long, pytest.mark.timeout(300), pytest.mark.deep]
BOT, ANN, BEN = "15550001", "15550002", "15550003"
GROUP = "120363@g.us"
PASSPHRASE = "correct horse battery"
READY_WITHIN_S = 10.0


@asynccontextmanager
async def machine(folder: Path, server: Remote, name: str) -> AsyncIterator[tuple[Program, Client]]:
    """A running bot service with a data folder of its own."""
    folder = folder / name
    folder.mkdir()
    program = programs.bot(folder, server)
    async with program.running(), Client(program.url) as client:
        yield program, client


async def export(client: Client, session: str = "shop") -> str:
    made = await client.post(f"/api/sessions/{session}/export", {"passphrase": PASSPHRASE})
    return str(made["file"])


def sealed(file: str, **more: Any) -> dict[str, Any]:
    return {"file": file, "passphrase": PASSPHRASE, **more}


async def online(server: Remote) -> int:
    return int((await server("account", number=BOT))["online"])


async def texts(client: Client, session: str) -> list[str]:
    """Every text that arrived."""
    found: list[str] = []
    before = 0
    while True:
        page = await client.get(f"/api/sessions/{session}/messages?direction=in&limit=500&before={before}")
        found.extend(each["text"] for each in page["messages"])
        if page["next"] is None:
            return found
        before = page["next"]


async def talk(client: Client, server: Remote, session: str, name: str) -> None:
    """A text to a person and one to a group, each read by the phones, and an answer to each that arrives."""
    for to, text, readers in ((ANN, f"hello {name}", [ANN]), (GROUP, f"all {name}", [ANN, BEN])):
        await client.post(f"/api/sessions/{session}/messages", {"to": to, "type": "text", "text": text})
        for reader in readers:
            await server.message_to(reader, text=text)
    await server("send", sender=BEN, chat=GROUP, body=f"re {name}")
    await server("send", sender=BEN, chat=BOT, body=f"to you {name}")

    async def arrived() -> bool:
        return {f"re {name}", f"to you {name}"} <= set(await texts(client, session))

    await eventually(arrived, every_s=0.1, what="the answers")


async def test_a_number_moves_while_messages_arrive(server: Remote, tmp_path: Path) -> None:
    async with machine(tmp_path, server, "a") as (_, a), machine(tmp_path, server, "b") as (there, b):
        await programs.pair(a, server, "shop", BOT, name="Boutique", metadata={"shop": "lyon"})
        await server("group", id="120363", subject="Friends", members=[ANN, BOT, BEN])
        await talk(a, server, "shop", "before")
        await server("flood", sender=ANN, chats=[BOT], count=300, per_second=50)
        await asyncio.sleep(1.5)

        file = await export(a)
        assert await online(server) == 0
        begun = time.monotonic()
        made = await b.post("/api/sessions/import", sealed(file))
        assert (made["name"], made["metadata"], made["paired"]) == ("Boutique", {"shop": "lyon"}, True)
        await programs.until_state(b, "shop", "READY")
        ready_s = time.monotonic() - begun
        print(f"READY on B after {ready_s:.1f} s")
        assert ready_s < READY_WITHIN_S

        async def flooded() -> bool:
            return not await server("flooding")

        async def owed() -> int:
            return int((await server("account", number=BOT))["owed"])

        await eventually(flooded, every_s=0.1, what="the end of the flood")

        async def all_there() -> bool:
            found = [text for each in (a, b) for text in await texts(each, "shop") if " flood " in text]
            return len(set(found)) == 300 and not await owed()

        await eventually(all_there, every_s=0.2, what="each of 300 messages on one of the machines")
        on_b = [text for text in await texts(b, "shop") if " flood " in text]
        on_a = [text for text in await texts(a, "shop") if " flood " in text]
        assert on_a
        assert on_b
        assert len(on_a) + len(on_b) == 300  # none on both
        await talk(b, server, "shop", "after")
        for number in (ANN, BEN):
            assert (await server("phone", number=number))["unreadable"] == []

        # A keeps away, whoever asks.
        left = await a.get("/api/sessions/shop")
        assert (left["state"], left["reason"], left["wanted"]) == ("FENCED", "exported", "stop")
        assert left["exportedAt"] is not None
        for verb in ("start", "restart"):
            status, problem = await a.call("POST", f"/api/sessions/shop/{verb}")
            assert (status, problem["code"]) == (409, "exported")
        assert await online(server) == 1
        assert (await server("stats")).get("doubled", 0) == 0
        assert list((Path(there.env["DATA_DIR"])).glob(".import-*")) == []


async def test_a_pairing_that_is_taken_back_reads_and_writes_after_the_other_machine_used_it(
    server: Remote, tmp_path: Path
) -> None:
    async with machine(tmp_path, server, "a") as (_, a), machine(tmp_path, server, "b") as (_, b):
        await programs.pair(a, server, "shop", BOT)
        await server("group", id="120363", subject="Friends", members=[ANN, BOT, BEN])
        await talk(a, server, "shop", "first")
        await b.post("/api/sessions/import", sealed(await export(a), id="moved"))
        await programs.until_state(b, "moved", "READY")
        for turn in range(3):
            await talk(b, server, "moved", f"elsewhere {turn}")
        await b.post("/api/sessions/moved/stop")

        async def offline() -> bool:
            return await online(server) == 0

        await eventually(offline, what="the end of the client on B")
        back = await a.post("/api/sessions/shop/take-back")
        assert (back["state"], back["reason"], back["exportedAt"]) == ("STOPPED", "taken_back", None)
        await a.post("/api/sessions/shop/start")
        await programs.until_state(a, "shop", "READY")
        await talk(a, server, "shop", "back")
        for number in (ANN, BEN):
            assert (await server("phone", number=number))["unreadable"] == []
        assert (await server("stats")).get("doubled", 0) == 0


async def killed(program: Program, call: Awaitable[Any], when: Callable[[], bool]) -> Any:
    """SIGKILL the API process when ``when()`` is true or ``call`` has ended; what it answered, or None. Then it runs again."""
    task = asyncio.ensure_future(call)
    while not (task.done() or when()):  # noqa: ASYNC110  the moment is one of another process
        await asyncio.sleep(0.0005)
    if not task.done():
        program.kill()
    try:
        answer = await task
    except (aiohttp.ClientError, TimeoutError):
        answer = None
    if program.process is not None and program.process.poll() is None:
        program.kill()
    program.start()
    await program.ready()
    return answer


def after(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


async def test_a_service_that_is_killed_during_an_export_has_the_session_or_has_given_it_away(
    server: Remote, tmp_path: Path
) -> None:
    async with machine(tmp_path, server, "a") as (program, a):
        await programs.pair(a, server, "shop", BOT)
        seen = set()
        for delay_s in (0.01, 0.1, 0.4, 10.0):
            answer = await killed(
                program, a.call("POST", "/api/sessions/shop/export", {"passphrase": PASSPHRASE}), after(delay_s)
            )
            now = await a.get("/api/sessions/shop")
            seen.add(now["exportedAt"] is not None)
            if answer is not None:
                assert answer[0] == 200
                assert now["exportedAt"] is not None
            if now["exportedAt"] is None:
                await programs.until_state(a, "shop", "READY")
                continue
            assert (now["state"], now["reason"]) == ("FENCED", "exported")

            async def offline() -> bool:
                return await online(server) == 0

            await eventually(offline, what="no client of an exported session")
            # The answer may be lost, the pairing is not: the same once more, or back.
            assert await export(a)
            await a.post("/api/sessions/shop/take-back")
            await a.post("/api/sessions/shop/start")
            await programs.until_state(a, "shop", "READY")
        assert True in seen
        assert (await server("stats")).get("doubled", 0) == 0


async def test_a_service_that_is_killed_during_an_import_has_the_whole_session_or_nothing_of_it(
    server: Remote, tmp_path: Path
) -> None:
    async with machine(tmp_path, server, "a") as (_, a), machine(tmp_path, server, "b") as (program, b):
        await programs.pair(a, server, "shop", BOT)
        file = await export(a)
        data_dir = Path(program.env["DATA_DIR"])
        store = data_dir / "devices" / "shop.db"

        def placing() -> bool:
            return next(data_dir.glob(".import-*"), None) is not None

        moments = [lambda: True, placing, store.exists, lambda: store.exists() and not placing(), lambda: False]
        seen = []
        for moment in moments:
            await killed(program, b.call("POST", "/api/sessions/import", sealed(file)), moment)
            status, now = await b.call("GET", "/api/sessions/shop")
            seen.append(status)
            assert not placing()
            if status == 404:
                assert list((data_dir / "devices").glob("shop*")) == []
                assert await online(server) == 0
                continue
            assert (now["paired"], now["wanted"]) == (True, "run")
            await programs.until_state(b, "shop", "READY")
            status, problem = await b.call("POST", "/api/sessions/import", sealed(file, id="twice"))
            assert (status, problem["code"]) == (409, "already_paired")
            await b.call("DELETE", "/api/sessions/shop")

            async def offline() -> bool:
                return await online(server) == 0

            await eventually(offline, what="no client of the deleted session")
        assert seen[0] == 404
        assert seen[-1] == 200
        assert (await server("stats")).get("doubled", 0) == 0

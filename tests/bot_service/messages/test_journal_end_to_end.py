"""The real service with real workers: journals harmed while no one reads them, and while they are in use."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot_service.engines.wire.journal_file import read_journal
from tests.support.members import members
from tests.support.processes import Client, Program, bot
from tests.support.receiver import Receiver
from tests.support.sessions import reaches
from tests.support.waiting import eventually


@dataclass
class Scene:
    program: Program
    alerts: Receiver
    client: Client

    @property
    def journals(self) -> Path:
        return Path(self.program.env["DATA_DIR"]) / "journal"

    async def stored(self) -> list[str]:
        page = await self.client.get("/api/sessions/one/messages?direction=in&limit=500")
        return [row["id"] for row in page["messages"]]

    async def arrive(self, count: int, rate: int = 500) -> list[str]:
        """Ids of messages that the simulated server sends from now on."""
        answer = await self.client.post(
            "/api/sessions/one/simulate", {"action": "message", "count": count, "rate": rate, "text": "hello"}
        )
        return list(answer["result"]["messageIds"])

    async def lost(self) -> float:
        async with self.client._http.get(self.program.url + "/metrics") as answer:
            found = re.search(r'messages_lost_total\{reason="journal"\} ([\d.]+)', await answer.text())
        assert found is not None
        return float(found[1])

    async def is_told(self) -> dict[str, Any]:
        def alert() -> Any:
            found = [got.json for got in self.alerts.requests if got.json["type"] == "service.alert"]
            return next((one["data"] for one in found if one["data"]["kind"] == "journal_damaged"), None)

        reported: dict[str, Any] = await eventually(alert, what="the alert")
        return reported


@asynccontextmanager
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with Receiver() as alerts:
        program = bot(
            tmp_path, ALERT_URLS=f"webhook://{alerts.url.removeprefix('http://')}", WEBHOOK_ALLOW_PRIVATE="true",
            SIMULATOR_OPTIONS="auto_pair_ms=50,reconnect_ms=300",
        )  # fmt: skip
        async with program.running(), Client(program.url) as client:
            await client.post("/api/sessions", {"id": "one"})
            await reaches(client, "one", "READY")
            yield Scene(program, alerts, client)


def newest(folder: Path) -> Path:
    return max(folder.glob("*.journal"), key=lambda path: path.stat().st_mtime)


def readable(path: Path) -> set[str]:
    found: set[str] = set()
    at = 0
    while (piece := read_journal(path, at)).records:
        found |= {record.message.id for _, record in piece.records if record.message is not None}
        at = piece.end
    return found


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at + 10] ^= 0x21
    path.write_bytes(data)


def zero(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(1500))


def cut(path: Path, at: int) -> None:
    os.truncate(path, at + 60)


@pytest.mark.parametrize("harm", members([flip, zero, cut]))
@pytest.mark.sqlite
async def test_what_a_worker_wrote_alone_and_was_harmed_is_lost_by_name_and_the_rest_arrives(
    tmp_path: Path, harm: Callable[[Path, int], None]
) -> None:
    async with scene(tmp_path) as at:
        await at.arrive(5)
        await eventually(lambda: _count(at, 5), what="the first five")
        ids = await at.arrive(120, rate=100)
        at.program.kill()
        path = newest(at.journals)
        await eventually(lambda: len(readable(path)) == 125, what="the worker writing on without its service")
        with contextlib.closing(sqlite3.connect(at.journals.parent / "bot.db")) as database:
            query = "SELECT position FROM journal_positions WHERE file = ?"
            position = database.execute(query, (path.name,)).fetchone()[0]
        ends = [end for end, _ in read_journal(path, position).records]
        # In place, as a disk does it: the worker has the file open.
        harmed = path.with_suffix(".copy")
        harmed.write_bytes(path.read_bytes())
        harm(harmed, ends[len(ends) // 2])
        left = readable(harmed) & set(ids)
        with path.open("r+b") as file:
            file.write(harmed.read_bytes())
            file.truncate(harmed.stat().st_size)
        harmed.unlink()
        at.program.start()
        await at.program.ready()
        more = await at.arrive(3)  # by these the worker notices
        gone = set(ids) - left
        assert gone
        await eventually(lambda: _holds(at, left | set(more)), what="everything readable")
        await eventually(lambda: _lost(at, len(gone)), what=f"{len(gone)} lost messages being counted")
        reported = await at.is_told()
        assert "damaged" in reported["text"] or "truncated" in reported["text"]
        assert not gone & set(await at.stored())
        assert list((at.journals / "damaged").iterdir())
        assert (await at.client.call("GET", "/health"))[0] == 200


async def test_a_journal_removed_under_a_running_service_loses_nothing_and_is_told(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        ids = await at.arrive(100, rate=100)
        for _ in range(2):
            await asyncio.to_thread(newest(at.journals).unlink)
            await eventually(lambda: len(list(at.journals.glob("*.journal"))) == 1, within_s=10, what="a new file")
        ids += await at.arrive(20)
        await eventually(lambda: _holds(at, set(ids)), what="every message")
        assert sorted(await at.stored()) == sorted(ids)
        assert "removed" in (await at.is_told())["text"]
        assert await at.lost() == 0


async def _count(at: Scene, count: int) -> bool:
    return len(await at.stored()) == count


async def _holds(at: Scene, ids: set[str]) -> bool:
    return ids <= set(await at.stored())


async def _lost(at: Scene, count: int) -> bool:
    return await at.lost() == count

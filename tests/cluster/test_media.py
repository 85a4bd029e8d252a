"""Files of messages with replicas: every one of them has them, also when the one that received them is gone with its disk."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster.replicas import Cluster, cluster, postgresql_server
from tests.support import postgresql
from tests.support.postgresql import PostgreSQL
from tests.support.processes import API_KEY, Client
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.long, *postgresql.needed()]

ANN = "4915112345678"
PICTURE = b"\x89PNG" + bytes(range(256)) * 8000


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with postgresql_server() as started:
        yield started


@pytest.fixture
async def two(tmp_path: Path, server: PostgreSQL) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path, server, 2) as made:
        await made.pair("first", "second")
        await made.even(0, 1)
        yield made


async def file(client: Client, session: str, message: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    url = f"{client.url}/api/sessions/{session}/messages/{message}/media"
    async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as answer:
        return answer.status, await answer.read()


async def test_files_outlive_the_replica_that_received_or_accepted_them(two: Cluster) -> None:
    owner = two.replica_of()["first"]
    assert owner is not None
    here, other = two.clients[owner], two.clients[1 - owner]
    args = {"action": "message", "from": ANN, "type": "image", "id": "PICTURE"}
    await here.post("/api/sessions/first/simulate", args)
    await eventually(lambda: _has_file(other, "PICTURE"), what="the message at the other replica")
    arrived = await file(here, "first", "PICTURE")
    assert arrived[0] == 200
    assert await file(other, "first", "PICTURE") == arrived

    # Accepted at one replica, sent by the other one.
    form = aiohttp.FormData({"to": ANN, "type": "image"})
    form.add_field("file", BytesIO(PICTURE), filename="a.png", content_type="image/png")
    headers = {"Authorization": f"Bearer {API_KEY}"}
    url = f"{other.url}/api/sessions/first/messages"
    async with aiohttp.ClientSession(headers=headers) as http, http.post(url, data=form) as answer:
        sent = await answer.json()
        assert answer.status == 202, sent
    await eventually(lambda: _sent(other, sent["id"]), what="the message being sent")

    two.programs[owner].kill()
    two.programs[owner].kill_workers()
    shutil.rmtree(two.programs[owner].env["DATA_DIR"])
    assert await file(other, "first", "PICTURE") == arrived
    assert await file(other, "first", sent["id"]) == (200, PICTURE)
    await eventually(lambda: two.replica_of()["first"] == 1 - owner, what="another owner")

    # Deleted with their session, wherever they came from.
    assert two.rows("SELECT count(DISTINCT key) FROM media_parts") == [["2"]]
    status, _ = await other.call("DELETE", "/api/sessions/first")
    assert status == 204
    assert two.rows("SELECT count(*) FROM media_parts") == [["0"]]


async def _has_file(client: Client, message: str) -> Any:
    status, found = await client.call("GET", f"/api/sessions/first/messages/{message}")
    return status == 200 and found["media"].get("url")


async def _sent(client: Client, message: str) -> bool:
    found = await client.get(f"/api/sessions/first/messages/{message}")
    return bool(found["state"] != "queued")

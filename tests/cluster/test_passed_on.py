"""Requests that one replica passes on to another one: who may ask, how often it is passed on, and what comes back."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot_service.access.replica_hops import HOP_HEADER, HopMarks
from shared.settings import Secret
from tests.cluster.replicas import Cluster, cluster, postgresql_server
from tests.support.postgresql import PostgreSQL
from tests.support.processes import API_KEY, Client
from tests.support.receiver import Receiver
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = [pytest.mark.postgresql, pytest.mark.system, pytest.mark.long, pytest.mark.deep]

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with postgresql_server() as started:
        yield started


@pytest.fixture
async def two(tmp_path: Path, server: PostgreSQL) -> AsyncIterator[Cluster]:
    """Two replicas with a session of each."""
    async with cluster(tmp_path, server, 2, WEBHOOK_ALLOW_PRIVATE="true") as made:
        await made.pair("first", "second")
        await made.even(0, 1)
        yield made


async def ask(client: Client, method: str, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers; without a key unless ``headers`` have one."""
    async with aiohttp.ClientSession() as http, http.request(method, client.url + path, headers=headers) as answer:
        await answer.read()
        return answer.status, dict(answer.headers)


async def test_every_face_of_a_replica_reaches_the_owner_and_none_without_a_key(two: Cluster) -> None:
    owner = two.replica_of()["first"]
    assert owner is not None
    here, other = two.clients[owner], two.clients[1 - owner]
    path = "/api/sessions/first"

    # The key is checked before anything is passed on, and the mark of a replica opens nothing.
    mark = {HOP_HEADER: HopMarks(Secret(API_KEY)).make("POST", f"{path}/stop")}
    for client in (here, other):
        assert (await ask(client, "POST", f"{path}/stop", **mark))[0] == 401
        assert (await ask(client, "POST", f"{path}/stop", Authorization="Bearer vk_wrong", **mark))[0] == 403
    assert (await here.get(path))["state"] == "READY"

    # A key of another owner sees no more by a detour.
    made = await other.post("/api/keys", {"name": "k", "owner": "other", "scopes": ["session", "read", "send"]})
    assert (await ask(other, "POST", f"{path}/stop", Authorization=f"Bearer {made['key']}"))[0] == 404

    # A request that was passed on already is not passed on again; a mark that is none changes nothing.
    key = {"Authorization": f"Bearer {API_KEY}"}
    status, headers = await ask(other, "POST", f"{path}/stop", **key, **mark)
    assert (status, headers["Retry-After"]) == (503, "1")
    assert (await here.get(path))["state"] == "READY"
    assert (await ask(other, "GET", f"{path}/health?a=b", **key, **{HOP_HEADER: "x" * 64}))[0] == 200

    # A form with a file, the dialect with the session in the body, a page.
    form = aiohttp.FormData({"to": "4915112345678", "type": "image"})
    form.add_field("file", PIXEL, filename="pixel.png", content_type="image/png")
    async with aiohttp.ClientSession(headers=key) as http:
        async with http.post(f"{other.url}{path}/messages", data=form) as answer:
            sent = await answer.json()
            assert answer.status == 202, sent
        body = {"session": "first", "chatId": "4915112345678@c.us", "text": "by the dialect"}
        async with http.post(f"{other.url}/waha/api/sendText", json=body) as answer:
            assert answer.status == 201, await answer.text()
    await eventually(lambda: _texts(here, "by the dialect"), what="the message of the dialect being sent")
    assert sent["media"]["fileName"] == "pixel.png"

    # The same Idempotency-Key at both is one message.
    wanted, once = {"to": "4915112345678", "text": "once"}, {"Idempotency-Key": "same"}
    answers = [await client.post(f"{path}/messages", wanted, **once) for client in (here, other)]
    assert len({each["id"] for each in answers}) == 1


async def _texts(client: Client, text: str) -> bool:
    found = (await client.get("/api/sessions/first/messages"))["messages"]
    return any(each.get("text") == text and each["state"] != "queued" for each in found)


@pytest.mark.deep
async def test_an_owner_that_does_not_answer_is_a_503_until_there_is_another_one(two: Cluster) -> None:
    owner = two.replica_of()["second"]
    assert owner is not None
    other = two.clients[1 - owner]
    two.programs[owner].kill()
    headers = {"Authorization": f"Bearer {API_KEY}"}
    status, answered = await ask(other, "GET", "/api/sessions/second/health", **headers)
    assert (status, answered["Retry-After"]) == (503, "1")
    # What is stored is known everywhere.
    assert (await other.get("/api/sessions/second"))["id"] == "second"
    await eventually(lambda: _answers(other), what="another owner")


async def _answers(client: Client) -> bool:
    status, _ = await client.call("GET", "/api/sessions/second/health")
    return status == 200


@pytest.mark.deep
async def test_a_command_for_several_sessions_reaches_the_owners_of_all(two: Cluster) -> None:
    url = two.programs[0].url
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"Sec-Fetch-Site": "same-origin"}) as http:
        async with http.post(f"{url}/login", data={"key": API_KEY}) as answer:
            assert answer.status == 200
        async with http.get(url) as answer:
            token = re.search(r'name="token" value="([^"]+)"', await answer.text())
        assert token is not None
        fields = [("token", token[1]), ("command", "stop"), ("session", "first"), ("session", "second"), ("next", "/")]
        async with http.post(f"{url}/sessions", data=fields) as answer:
            assert "Refused for" not in await answer.text()
    for session in ("first", "second"):
        owner = two.replica_of()[session]
        assert owner is not None
        assert (await two.clients[owner].get(f"/api/sessions/{session}"))["state"] == "STOPPED"


@pytest.mark.deep
async def test_both_list_the_replicas_and_their_sessions(two: Cluster) -> None:
    one_each = [{"total": 1, "wanted": 1, "ready": 1}] * 2
    for number, client in enumerate(two.clients):

        async def listed_so(client: Client = client) -> Any:
            # A replica sees what others changed a moment later.
            found = await client.get("/api/replicas")
            return found if [each["sessions"] for each in found["replicas"]] == one_each else None

        found = await eventually(listed_so, what="one session of each replica")
        assert [each["url"] for each in found["replicas"] if each["here"]] == [two.programs[number].url]
        assert all(0 < each["leaseLeftMs"] <= 5000 for each in found["replicas"])
        assert found["unowned"] == {"total": 0, "wanted": 0, "ready": 0}
        listed = [await client.get(f"/api/replicas/{each['id']}/sessions") for each in found["replicas"]]
        assert sorted(each["sessions"][0]["id"] for each in listed) == ["first", "second"]
        assert [each["next"] for each in listed] == [None, None]


async def test_webhooks_and_events_are_of_all_sessions_wherever_they_were_asked_for(
    two: Cluster, receiver: Receiver
) -> None:
    """A webhook that was made at one replica hears of sessions of the other one, and so does a stream of events."""
    await two.clients[0].post("/api/webhooks", {"url": receiver.url, "events": ["message"]})
    await eventually(lambda: _webhooks(two.clients[1]), what="the other one knowing the webhook")
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{two.programs[1].url}/api/events") as stream:
        for number in range(10):
            for session, client in zip(("first", "second"), two.clients, strict=True):
                args = {"action": "message", "from": "4915112345678", "text": f"{session}-{number}"}
                await client.post(f"/api/sessions/{session}/simulate", args)
        wanted = {f"{session}-{number}" for session in ("first", "second") for number in range(10)}
        seen: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while not wanted <= set(seen):
                line = (await stream.content.readline()).decode()
                if line.startswith("data: ") and '"type":"message"' in line:
                    seen.append(json.loads(line[6:])["data"]["text"])
    assert sorted(seen) == sorted(wanted)
    await eventually(lambda: len(receiver.requests) >= 20, what="all deliveries")
    assert sorted(got.json["data"]["text"] for got in receiver.requests) == sorted(wanted)


@pytest.mark.deep
async def test_what_waits_for_a_webhook_is_delivered_by_the_next_owner(two: Cluster, receiver: Receiver) -> None:
    owner = two.replica_of()["first"]
    assert owner is not None
    receiver.answer = lambda _got: (503, None, {})
    await two.clients[owner].post("/api/webhooks", {"url": receiver.url, "events": ["message"]})
    args = {"action": "message", "from": "4915112345678", "text": "waits"}
    await two.clients[owner].post("/api/sessions/first/simulate", args)
    await eventually(lambda: receiver.requests, what="the first try")
    two.programs[owner].kill()
    receiver.answer = None
    tries = len(receiver.requests)
    await eventually(lambda: len(receiver.requests) > tries, what="a try of the next owner")
    ids = {got.headers["webhook-id"] for got in receiver.requests}
    assert len(ids) == 1


async def _webhooks(client: Client) -> bool:
    return bool((await client.get("/api/webhooks"))["webhooks"])

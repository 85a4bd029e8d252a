"""Must show: ``kill -9`` while a thousand messages arrive loses none, and what came twice is marked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.members import members
from tests.support.processes import Client, Program, bot
from tests.support.receiver import Received, Receiver
from tests.support.sessions import paired
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

COUNT, RATE = 1000, 500


@asynccontextmanager
async def service(tmp_path: Path, **env: Any) -> AsyncIterator[Program]:
    program = bot(tmp_path, WEBHOOK_ALLOW_PRIVATE="true", SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0", **env)
    async with program.running():
        yield program


async def all_messages(client: Client, session: str = "one", **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    before = ""
    extra = "".join(f"&{name}={value}" for name, value in query.items())
    while True:
        page = await client.get(f"/api/sessions/{session}/messages?limit=500{before}{extra}")
        found += page["messages"]
        if page["next"] is None:
            return found
        before = f"&before={page['next']}"


def journalled(program: Program, ids: set[str]) -> int:
    """How many of these messages are in the journals of the workers."""
    files = Path(program.env["DATA_DIR"], "journal").glob("*.journal")
    data = b"".join(file.read_bytes() for file in files)
    return sum(message.encode() in data for message in ids)


def kill_api(program: Program) -> None:
    program.kill()


def kill_everything(program: Program) -> None:
    workers = program.worker_pids()
    assert workers
    program.signal(signal.SIGKILL)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    program.kill()


@pytest.mark.parametrize("kill", members([kill_everything, kill_api]))
async def test_a_kill_while_a_thousand_messages_arrive_loses_none(
    tmp_path: Path, receiver: Receiver, kill: Callable[[Program], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async with service(tmp_path) as program, Client(program.url) as client:
        await paired(client, "one")
        # A webhook of the owner, not of everybody: after the kill it must be known whose a message is.
        await client.post("/api/webhooks", {"url": receiver.url, "events": ["message"], "owner": "main"})
        told = await client.post(
            "/api/sessions/one/simulate", {"action": "message", "count": COUNT, "rate": RATE, "text": "n"}
        )
        expected = set(told["result"]["messageIds"])
        await eventually(lambda: len(receiver.requests) >= COUNT // 5, what="a fifth of the deliveries")
        kill(program)
        seen_before = len(receiver.requests)
        if kill is kill_api:
            assert program.worker_pids()
            before = journalled(program, expected)
            await eventually(
                lambda: before < journalled(program, expected) or before == COUNT,
                what="the workers going on without the API process",
            )
        program.start()
        await program.ready()

        async def complete() -> bool:
            return len({row["id"] for row in await all_messages(client, direction="in")} & expected) == COUNT

        await eventually(complete, within_s=120, every_s=0.25, what="every message in the store")
        stored = await all_messages(client, direction="in")
        assert len(stored) == COUNT, "a message is stored once, however often it came"

        def delivered() -> bool:
            return {got.json["data"]["id"] for got in receiver.requests} == expected

        await eventually(delivered, within_s=120, every_s=0.1, what="every message at the webhook")

    again = Counter(got.headers["webhook-id"] for got in receiver.requests)
    per_message: dict[str, set[str]] = {}
    for got in receiver.requests:
        per_message.setdefault(got.json["data"]["id"], set()).add(got.headers["webhook-id"])
    assert all(len(ids) == 1 for ids in per_message.values()), "a repeated delivery carries the same id"
    with capsys.disabled():
        print(
            f"\n{kill.__name__}: {COUNT} sent, {len(stored)} stored, 0 lost;"
            f" {sum(row.get('duplicates', 0) for row in stored)} came again and were dropped;"
            f" {seen_before} deliveries before the kill,"
            f" {sum(count - 1 for count in again.values())} repeated with the same id"
        )


async def test_an_answer_to_a_webhook_reaches_the_chat_once_even_over_a_kill(
    tmp_path: Path, receiver: Receiver
) -> None:
    def answer(got: Received) -> tuple[int, Any, dict[str, str]]:
        return 200, {"reply": f"re {got.json['data']['text']}"}, {}

    receiver.answer = answer
    async with service(tmp_path) as program, Client(program.url) as client:
        await paired(client, "one")
        await client.post("/api/webhooks", {"url": receiver.url, "events": ["message"]})
        await client.post("/api/sessions/one/simulate", {"action": "message", "count": 60, "rate": 60, "text": "n"})
        await eventually(lambda: len(receiver.requests) >= 20, what="some deliveries")
        program.kill()
        program.start()
        await program.ready()

        async def answers() -> list[str]:
            got = await client.post("/api/sessions/one/simulate", {"action": "inbox"})
            return [message["text"] for message in got["result"]["messages"]]

        async def complete() -> bool:
            return len(set(await answers())) >= 60

        await eventually(complete, within_s=120, every_s=0.25, what="every answer at the phone")
        assert Counter(await answers()) == Counter(f"re n {number}" for number in range(1, 61))


async def test_queued_messages_survive_a_kill_and_each_reaches_the_phone_once_in_order(tmp_path: Path) -> None:
    program = bot(tmp_path, SEND_PER_MINUTE="1200", SEND_BURST="5", SEND_NEW_CHATS_PER_HOUR="0")
    program.start()
    try:
        await program.ready()
        async with Client(program.url) as client:
            await paired(client, "one")
            ids = []
            for number in range(60):
                sent = await client.post(
                    "/api/sessions/one/messages",
                    {"to": "33612345678", "text": f"n {number}"},
                    **{"Idempotency-Key": f"k{number}"},
                )
                ids.append(sent["id"])

            async def at_the_phone() -> list[str]:
                got = await client.post("/api/sessions/one/simulate", {"action": "inbox"})
                return [message["text"] for message in got["result"]["messages"]]

            async def some() -> bool:
                return len(await at_the_phone()) >= 15

            await eventually(some, what="a part of the messages")
            program.kill()
            program.start()
            await program.ready()
            # A caller that got no answer asks again: same key, same message.
            again = await client.post(
                "/api/sessions/one/messages", {"to": "33612345678", "text": "n 59"}, **{"Idempotency-Key": "k59"}
            )
            assert again["id"] == ids[-1]

            async def done() -> bool:
                rows = await all_messages(client, direction="out")
                return len(rows) == 60 and all(row["state"] in ("sent", "delivered", "read") for row in rows)

            await eventually(done, every_s=0.25, what="every message being sent")
            assert await at_the_phone() == [f"n {number}" for number in range(60)]
    finally:
        program.close()


def _has(answers: dict[str, str], count: int) -> bool:
    return len(answers) >= count


@pytest.mark.deep
async def test_messages_that_many_callers_send_at_once_survive_kills_and_each_reaches_the_phone_once_in_order(
    tmp_path: Path,
) -> None:
    """Twenty callers, one chat each: many messages share a commit. Who gets no answer asks again with the same key."""
    program = bot(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0")
    callers, each = 20, 30
    accepted: dict[str, str] = {}

    async with program.running(), Client(program.url) as client:
        await paired(client, "s0", "s1")

        async def caller(number: int) -> None:
            for count in range(each):
                key = f"{number}-{count}"
                body = {"to": f"49151123450{number:02}", "text": key}
                while key not in accepted:
                    with contextlib.suppress(aiohttp.ClientError, AssertionError, TimeoutError):
                        sent = await client.post(
                            f"/api/sessions/s{number % 2}/messages", body, **{"Idempotency-Key": key}
                        )
                        accepted[key] = sent["id"]
                        break
                    await asyncio.sleep(0.05)

        calls = asyncio.gather(*(caller(number) for number in range(callers)))
        for part in (callers * each // 5, callers * each * 3 // 5):
            await eventually(partial(_has, accepted, part), what="a part of the answers")
            program.kill()
            program.start()
            await program.ready()
        await calls
        assert len(accepted) == len(set(accepted.values())) == callers * each

        async def stored() -> dict[str, str]:
            return {
                row["id"]: row["state"]
                for session in ("s0", "s1")
                for row in await all_messages(client, direction="out", session=session)
            }

        async def all_sent() -> bool:
            return {"queued", "failed"}.isdisjoint((await stored()).values())

        await eventually(all_sent, every_s=0.25, what="every message being sent")
        # What was answered is stored, under the id of the answer, and nothing else is.
        assert set(await stored()) == set(accepted.values())
        for session in ("s0", "s1"):
            got = await client.post(f"/api/sessions/{session}/simulate", {"action": "inbox"})
            at_the_phone = [message["text"] for message in got["result"]["messages"]]
            for number in range(int(session[1]), callers, 2):
                own = [text for text in at_the_phone if text.startswith(f"{number}-")]
                assert own == [f"{number}-{count}" for count in range(each)]

"""WATCHDOG_TOKEN goes only to a bot that has proved itself on that very connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from shared.contract.identity import BOT, WATCHDOG, Identity
from shared.settings import Secret
from tests.support.fake_bot import FakeBot
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import WATCHDOG_TOKEN
from tests.support.waiting import eventually
from tests.support.watchdog_app import running_watchdog
from watchdog.parts import PARTS
from watchdog.probes.proving import ProvingConnector
from watchdog.probes.reasons import NotProven

IDENTITY = Identity(Secret(WATCHDOG_TOKEN))
Answering = Callable[[str], bytes]


def as_json(**body: object) -> bytes:
    raw = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


def of_the_bot(challenge: str) -> bytes:
    return as_json(status="ok", bootId="b1", proof=IDENTITY.proof(BOT, "b1", challenge))


STRANGERS: dict[str, Answering] = {
    "a page": lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html",
    "no boot id": lambda _: as_json(status="ok"),
    "an old bot": lambda _: as_json(status="ok", bootId="b1"),
    "the challenge itself": lambda challenge: as_json(status="ok", bootId="b1", proof=challenge),
    "another token": lambda challenge: as_json(
        status="ok", bootId="b1", proof=Identity(Secret("another-token-0123")).proof(BOT, "b1", challenge)
    ),
    "a watchdog": lambda challenge: as_json(
        status="ok", bootId="w1", lastCycleAge=1, proof=IDENTITY.proof(WATCHDOG, "w1", challenge)
    ),
    "an old proof": lambda _: as_json(status="ok", bootId="b1", proof=IDENTITY.proof(BOT, "b1", "0" * 32)),
    "not HTTP": lambda _: b"SSH-2.0-OpenSSH_9.2\r\n",
    "everything": lambda _: b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n" * 5,
    "nothing": lambda _: b"",
}


@dataclass
class Recorder:
    """Answers each request on its port with ``answer(challenge)`` and keeps all it received.

    ``requests_per_connection``: then the connection is closed.
    """

    answer: Answering
    requests_per_connection: int = 100
    received: list[bytes] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.received)
        self.received.append(b"")
        try:
            for _ in range(self.requests_per_connection):
                head = await reader.readuntil(b"\r\n\r\n")
                self.received[number] += head
                lines = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:] if line)
                writer.write(self.answer(lines.get("X-Veilleur-Challenge", "")))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.received[number] += getattr(error, "partial", b"")
        finally:
            writer.close()


@asynccontextmanager
async def recording(answer: Answering, *, requests: int = 100) -> AsyncIterator[Recorder]:
    recorder = Recorder(answer, requests)
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
    recorder.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield recorder
    finally:
        server.close()


async def post(recorder: Recorder) -> int:
    headers = {"Authorization": f"Bearer {WATCHDOG_TOKEN}"}
    async with (
        aiohttp.ClientSession(connector=ProvingConnector(recorder.url, Secret(WATCHDOG_TOKEN))) as http,
        http.post(recorder.url + "/api/keepalive", headers=headers, timeout=aiohttp.ClientTimeout(total=3)) as answer,
    ):
        return answer.status


async def test_the_bot_gets_the_token_on_the_connection_of_its_proof() -> None:
    async with recording(of_the_bot) as bot:
        assert await post(bot) == 200
    [connection] = bot.received
    assert connection.index(b"GET /health") < connection.index(b"Bearer " + WATCHDOG_TOKEN.encode())


@pytest.mark.parametrize("who", STRANGERS)
async def test_a_stranger_on_the_address_gets_no_token(who: str) -> None:
    async with recording(STRANGERS[who]) as stranger:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await post(stranger)
    assert stranger.received
    assert not any(b"uthorization" in each or WATCHDOG_TOKEN.encode() in each for each in stranger.received)


async def test_a_connection_that_breaks_after_the_proof_is_replaced_by_one_that_proves_anew() -> None:
    answers = [of_the_bot]

    def first_the_bot(challenge: str) -> bytes:
        return (answers.pop() if answers else STRANGERS["an old bot"])(challenge)

    async with recording(first_the_bot, requests=1) as changed:
        session = aiohttp.ClientSession(connector=ProvingConnector(changed.url, Secret(WATCHDOG_TOKEN)))
        async with session:
            for _ in range(3):
                with pytest.raises((aiohttp.ClientError, OSError)):
                    await session.get(changed.url + "/api/heartbeat", headers={"Authorization": WATCHDOG_TOKEN})
    # The first connection had proved itself: it may get the request, and nothing else may.
    assert len(changed.received) > 1
    assert not any(WATCHDOG_TOKEN.encode() in each for each in changed.received[1:])


async def test_what_answers_without_a_proof_is_named(tmp_path: Path) -> None:
    async with recording(STRANGERS["an old bot"]) as stranger:
        with pytest.raises(NotProven):
            await post(stranger)


@pytest.mark.parametrize("who", ["a page", "an old bot", "another token", "a watchdog"])
async def test_the_whole_watchdog_never_sends_the_token_to_a_stranger(tmp_path: Path, who: str) -> None:
    async with (
        recording(STRANGERS[who]) as stranger,
        running_watchdog(
            tmp_path, stranger.url, KEEP_ALIVE_INTERVAL="200", KEEP_ALIVE_PUSH_INTERVAL="500", REMEDIATION="bot"
        ) as watchdog,
    ):
        watch = watchdog.app[PARTS].watches["bot"]
        await eventually(lambda: watch.link.state == "unproven", what="the heartbeat without a proof")
        await eventually(lambda: len(stranger.received) > 8, what="pings, a push and the heartbeat")
    assert not any(b"uthorization" in each or WATCHDOG_TOKEN.encode() in each for each in stranger.received)


async def test_an_old_bot_is_watched_by_pings_alone_and_a_new_one_in_its_place_by_all(tmp_path: Path) -> None:
    async with FakeBot(token=None) as bot, running_watchdog(tmp_path, bot.url, KEEP_ALIVE_INTERVAL="200") as watchdog:
        parts = watchdog.app[PARTS]
        await eventually(lambda: parts.pipeline.state("bot").boots and bot.pings > 3, what="pings of the old bot")
        await eventually(lambda: parts.watches["bot"].link.state == "unproven", what="the heartbeat without a proof")
        assert (bot.tokens, bot.pushes, parts.pipeline.state("bot").incidents) == ([], [], ())
        bot.token = WATCHDOG_TOKEN
        await bot.restart()
        await eventually(lambda: bot.tokens and bot.pushes, what="the heartbeat and a push")
        assert bot.boot_id in parts.pipeline.state("bot").proved_boots


async def test_the_proof_passes_a_proxy_that_answers_in_chunks(tmp_path: Path) -> None:
    async with (
        FakeBot() as bot,
        FaultProxy(bot.url) as proxy,
        running_watchdog(tmp_path, proxy.url, KEEP_ALIVE_INTERVAL="200") as watchdog,
    ):
        await eventually(lambda: len(bot.pushes) > 1, what="pushes")
        await eventually(lambda: watchdog.app[PARTS].watches["bot"].link.up, what="the heartbeat")

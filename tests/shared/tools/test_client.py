"""The command line's client takes answers of a limited size, whoever answers, and reads everything below it."""

from __future__ import annotations

import asyncio

import pytest

from shared.settings import Secret
from shared.tools.cli.client import LONGEST_BYTES, LONGEST_LINE_BYTES, Client, CliError
from tests.support.hostile_server import Call, Script, answers, hostile

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PIECE = b"x" * 65536


async def declared(call: Call) -> None:
    await call.send(HEAD + b"Content-Length: %d\r\n\r\n" % (LONGEST_BYTES + 1))
    await call.send_for_ever(PIECE)


async def without_an_end(call: Call) -> None:
    await call.send(HEAD + b"Connection: close\r\n\r\n")
    await call.send_for_ever(PIECE)


async def chunks_without_an_end(call: Call) -> None:
    await call.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    await call.send_for_ever(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))


async def an_error_without_an_end(call: Call) -> None:
    await call.send(b"HTTP/1.1 500 Odd\r\n\r\n")
    await call.send_for_ever(PIECE)


ENDLESS = [declared, without_an_end, chunks_without_an_end, an_error_without_an_end]


@pytest.mark.parametrize("script", ENDLESS)
async def test_an_answer_without_an_end_is_refused(script: Script) -> None:
    async with hostile(script) as server:
        client = Client(server.url, None, name="the bot")
        with pytest.raises(CliError, match="more than 32 MB") as caught:
            await asyncio.to_thread(client.get, "/api/sessions")
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("script", ENDLESS)
async def test_whoever_shall_prove_itself_may_not_send_more(script: Script) -> None:
    async with hostile(script) as server:
        client = Client(server.url, Secret("k" * 40), name="the bot", prove_as="bot")
        assert not await asyncio.to_thread(client.proves, "bot")
        with pytest.raises(CliError, match="more than 32 MB"):
            await asyncio.to_thread(client.get, "/api/sessions")
    assert all(b"k" * 40 not in call.head for call in server.calls)


@pytest.mark.parametrize("line", [b"data: " + PIECE, b"data: " + PIECE + b"\n", PIECE])
async def test_an_event_without_an_end_is_refused(line: bytes) -> None:
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await call.send_for_ever(line)

    async with hostile(script) as server:
        events = Client(server.url, None, name="the bot").events("/api/events")
        assert await asyncio.to_thread(next, events) == ("message", 1)
        with pytest.raises(CliError, match=f"more than {LONGEST_LINE_BYTES}") as caught:
            await asyncio.to_thread(next, events)
    assert caught.value.code == "too_large"


async def test_an_answer_of_the_limit_is_read_whole() -> None:
    text = b'"' + b"y" * (LONGEST_BYTES - 2) + b'"'
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(text) + text
    async with hostile(answers(whole)) as server:
        value = await asyncio.to_thread(Client(server.url, None, name="the bot").get, "/")
    assert len(value) == LONGEST_BYTES - 2


@pytest.mark.parametrize("head", [b"Content-Length: 100\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n40\r\n{}"])
async def test_an_answer_that_is_cut_off_is_none(head: bytes) -> None:
    async with hostile(answers(HEAD + head, close=True)) as server:
        with pytest.raises(CliError, match="broke off") as caught:
            await asyncio.to_thread(Client(server.url, None, name="the bot").get, "/")
    assert caught.value.code == "unreachable"

"""The check that every asynchronous test passes at its end finds what it is there for."""

from __future__ import annotations

import asyncio
import gc
import socket

import aiohttp
import pytest

from tests.support import leaks


async def test_a_task_that_goes_on_is_found_and_one_that_ends_is_not() -> None:
    assert await leaks.tasks_left() == []
    ending = asyncio.create_task(asyncio.sleep(0))
    assert await leaks.tasks_left() == []
    assert ending.done()
    going_on = asyncio.create_task(asyncio.Event().wait(), name="goes on")
    [found] = await leaks.tasks_left()
    assert "goes on" in found
    going_on.cancel()


async def test_an_exception_that_is_never_retrieved_is_found() -> None:
    async def fails() -> None:
        raise ValueError("no one asks")

    with leaks.expected("no one asks"):
        task = asyncio.create_task(fails())
        await asyncio.wait({task})
        del task
    assert leaks.take_found() == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_session_that_is_not_closed_is_found() -> None:
    with leaks.expected("Unclosed client session"):
        session = aiohttp.ClientSession()
        connector = session.connector
        del session
        gc.collect(1)
    assert connector is not None
    await connector.close()


async def test_an_error_that_is_expected_must_come() -> None:
    with pytest.raises(AssertionError, match="no error of the loop"), leaks.expected("an error"):
        pass


async def test_a_connection_that_does_not_end_is_found_and_one_that_ends_later_is_not() -> None:
    here, there = socket.socketpair()
    there.setblocking(False)
    loop = asyncio.get_running_loop()
    with there:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
        transport.write(bytes(10_000_000))
        transport.close()
        [found] = await leaks.connections_left(within_s=0.01)
        assert "closing" in found

        async def read_all() -> None:
            while await loop.sock_recv(there, 1_000_000):
                pass

        reading = asyncio.create_task(read_all())
        assert await leaks.connections_left() == []
        await reading
    assert here.fileno() == -1

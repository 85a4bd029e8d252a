"""Connections that send nothing, more of them than a program may have descriptors."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.security.conftest import Running
from tests.support.members import members
from tests.support.memory import Peak
from tests.support.processes import Program, bot, watchdog
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.system
FORM = b"Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin\r\n"
SENT = [
    b"",
    b"GET /health HTTP/1.1\r\nX-Half: ",
    b"POST /login HTTP/1.1\r\nHost: x\r\n" + FORM + b"Content-Length: 4000\r\n\r\nkey=",
    b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
]


LOGIN = b"POST /login HTTP/1.1\r\nHost: x\r\n" + FORM


async def _closed(port: int, sent: bytes, piece: bytes) -> bytes:
    """What the program answers before it closes the connection, while ``piece`` is sent again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    ended = asyncio.create_task(reader.read())
    try:
        while not ended.done():
            if piece:
                writer.write(piece)
            await asyncio.wait([ended], timeout=0.5)
        return ended.result()
    except ConnectionError:
        return b""
    finally:
        ended.cancel()
        writer.transport.abort()


@pytest.mark.long
async def test_running_programs_close_what_does_not_end_in_time(running: Running) -> None:
    """With the time limits that they have: nothing here shortens them."""
    kinds = {
        "nothing": (b"", b""),
        "half a head": (b"GET /health HTTP/1.1\r\nX-Half: ", b""),
        "a head a byte at a time": (b"GET /health HTTP/1.1\r\nX: ", b"y"),
        "a body that does not come": (LOGIN + b"Content-Length: 4000\r\n\r\nkey=", b""),
        "a body a byte at a time": (LOGIN + b"Content-Length: 4000\r\n\r\nkey=", b"y"),
        "chunks a byte at a time": (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n"),
    }
    async with asyncio.timeout(PATIENCE_S):
        answers = await asyncio.gather(
            *(_closed(one.port, *sent) for one in (running.bot, running.watchdog) for sent in kinds.values())
        )
    for name, answer in zip([*kinds, *kinds], answers, strict=True):
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), (name, answer[:100])
    assert any(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)


def _watchdog(folder: Path) -> Program:
    return watchdog(folder, "http://127.0.0.1:9")


@pytest.mark.parametrize("hard", members([160, 1024]))
@pytest.mark.parametrize("made", [bot, _watchdog])
async def test_more_connections_than_descriptors_close_no_health_check(
    made: Callable[[Path], Program], hard: int, tmp_path: Path
) -> None:
    program = made(tmp_path)
    program.own_interpreter = True
    program.start()
    # Before the program has opened its port: the limits that it finds.
    resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (128, hard))
    writers: list[asyncio.StreamWriter] = []
    try:
        await program.ready()
        assert resource.prlimit(program.pid, resource.RLIMIT_NOFILE) == (hard, hard)
        peak, logged = Peak(program.pid), program.log.stat().st_size
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as http:
            for number in range(1200):
                _, writer = await asyncio.open_connection("127.0.0.1", program.port)
                writer.write(SENT[number % len(SENT)])
                writers.append(writer)
                if number % 50 == 49:
                    for path in ("/health", "/livez", "/metrics"):
                        async with http.get(program.url + path, headers={"Connection": "close"}) as response:
                            assert response.status == 200
        assert psutil.Process(program.pid).num_fds() < hard
        assert peak.grown_bytes() < 50 * 2**20
        assert program.log.stat().st_size - logged < 20_000
    finally:
        for writer in writers:
            writer.transport.abort()
        program.close()

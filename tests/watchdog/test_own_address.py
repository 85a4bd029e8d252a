"""A watchdog that is set to watch itself ends at the start with exit code 2 and one sentence."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.boot import Boot
from shared.clock import SystemClock
from shared.settings import load
from shared.web.ports import listening_sockets
from tests.support import processes
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import free_port
from watchdog.own_address import OwnAddress, on_this_machine
from watchdog.settings import WatchdogSettings

ADDRESSES = [
    "http://127.0.0.1:{port}",
    "http://localhost:{port}/",
    "http://[::1]:{port}",
    "http://0.0.0.0:{port}",
    "http://127.8.7.6:{port}/prefix",
    "https://127.0.0.1:{port}",
]


@pytest.fixture
def everywhere() -> Iterator[list[socket.socket]]:
    sockets = listening_sockets(None, 0)
    yield sockets
    for each in sockets:
        each.close()


def found(sockets: list[socket.socket], **environ: str) -> str | None:
    return on_this_machine(load(WatchdogSettings, environ), sockets)


@pytest.mark.parametrize("address", [*ADDRESSES, f"http://{socket.gethostname()}:{{port}}"])
def test_an_address_of_this_machine_is_the_watchdog_itself(everywhere: list[socket.socket], address: str) -> None:
    port = everywhere[0].getsockname()[1]
    why = found(everywhere, BOT_URL=address.format(port=port))
    assert why is not None
    assert why.startswith("BOT_URL leads to the watchdog itself")
    several = found(everywhere, BOT_URLS=f"http://bot:3000,{address.format(port=port)}")
    assert several is not None
    assert several.startswith("BOT_URLS ")
    by_railway = found(everywhere, RAILWAY_PUBLIC_DOMAIN=f"localhost:{port}")
    assert by_railway is not None
    assert by_railway.startswith("RAILWAY_PUBLIC_DOMAIN ")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:{other}", "http://192.0.2.1:{port}", "http://no-such-name.invalid:{port}"]
)
def test_another_port_or_machine_is_not(everywhere: list[socket.socket], address: str) -> None:
    port = everywhere[0].getsockname()[1]
    assert found(everywhere, BOT_URL=address.format(port=port, other=free_port())) is None


def test_another_address_of_this_machine_is_not_when_the_watchdog_has_only_one() -> None:
    [one] = listening_sockets("127.0.0.1", 0)
    with one:
        port = one.getsockname()[1]
        assert found([one], BOT_URL=f"http://127.0.0.2:{port}") is None
        assert found([one], BOT_URL=f"http://127.0.0.1:{port}") is not None


@pytest.mark.parametrize("address", ADDRESSES[:3])
async def test_the_program_refuses_its_own_port(tmp_path: Path, address: str) -> None:
    port = free_port()
    dog = processes.watchdog(tmp_path, address.format(port=port), port=port, HOST="")
    dog.start()
    try:
        assert await dog.exit_code() == 2
    finally:
        dog.close()
    assert "BOT_URL leads to the watchdog itself" in dog.output()
    assert "Traceback" not in dog.output()


async def test_the_program_finds_itself_behind_another_port(tmp_path: Path) -> None:
    port = free_port()
    async with FaultProxy(f"http://127.0.0.1:{port}") as published:
        dog = processes.watchdog(tmp_path, published.url, port=port, KEEP_ALIVE_START_DELAY="600000")
        dog.start()
        try:
            assert await dog.exit_code() == 2
        finally:
            dog.close()
    assert "BOT_URL leads to the watchdog itself" in dog.output().splitlines()[-1]


@pytest.mark.parametrize(
    ("environ", "boot", "refused"),
    [
        ({"BOT_URL": "http://b"}, "own", True),
        ({"BOT_URL": "http://b"}, "another", False),
        ({"RAILWAY_PUBLIC_DOMAIN": "x.up.railway.app"}, "own", True),
        ({"RAILWAY_PUBLIC_DOMAIN": "x.up.railway.app"}, "another", True),
    ],
)
async def test_which_watchdog_that_answers_ends_the_start(environ: dict[str, str], boot: str, refused: bool) -> None:
    clock = SystemClock()
    own = Boot.of(clock)
    address = OwnAddress(load(WatchdogSettings, environ), own, clock)
    address.listener("http://b")(own.boot_id if boot == "own" else boot)
    assert (address.refused is not None, address.stop.is_set()) == (refused, refused)


async def test_a_watchdog_that_runs_for_long_does_not_end() -> None:
    clock = SystemClock()
    own = Boot(clock.monotonic() - 61, clock.now())
    address = OwnAddress(load(WatchdogSettings, {"BOT_URL": "http://b"}), own, clock)
    address.listener("http://b")(own.boot_id)
    assert not address.stop.is_set()

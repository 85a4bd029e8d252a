"""One fake WhatsApp server, reset per test, and worker processes that end with their test."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.fake_whatsapp.remote import Remote, ServerProcess
from tests.wire.worker_driver import WorkerDriver

StartWorker = Callable[[], Awaitable[WorkerDriver]]


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One fake WhatsApp server in a process of its own, for all tests."""
    process = ServerProcess(tmp_path_factory.mktemp("whatsapp"))
    yield process
    process.stop()


@pytest.fixture
async def server(server_process: ServerProcess) -> AsyncIterator[Remote]:
    """The fake server, clean."""
    async with Remote(server_process) as running:
        yield running


@pytest.fixture
async def start_worker(server: Remote, tmp_path: Path) -> AsyncIterator[StartWorker]:
    """Starts engine workers over one data folder; all are killed when the test ends."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    started: list[WorkerDriver] = []

    async def start() -> WorkerDriver:
        driver = WorkerDriver(data_dir, server)
        started.append(driver)
        await driver.start()
        return driver

    yield start
    for driver in started:
        if driver.process is not None and driver.process.returncode is None:
            await driver.end(signal.SIGKILL)


@pytest.fixture
async def worker(start_worker: StartWorker) -> WorkerDriver:
    """One running engine worker."""
    return await start_worker()

"""Each test of the suite runs once per engine, in a real worker process."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.engines.outside import ANN, SESSION, FakeServer, Outside, Simulation
from tests.fake_whatsapp.remote import Remote, ServerProcess
from tests.wire.worker_driver import WorkerDriver

FAST = {"connect_ms": "20", "reconnect_ms": "50", "delivered_ms": "20", "read_ms": "3600000", "retry_ms": "100"}


@dataclass
class Bench:
    """One engine with one session: ``worker`` is the process that runs now, ``outside`` the world around it."""

    engine: str
    data_dir: Path
    server: Remote | None
    worker: WorkerDriver
    outside: Outside
    jid: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    _all: list[WorkerDriver] = field(default_factory=list)

    async def restart(self, end: int = signal.SIGKILL) -> None:
        """End the worker and start another one over the same data folder."""
        await self.worker.end(end)
        self.worker = await new_worker(self.engine, self.data_dir, self.server, self.settings)
        self._all.append(self.worker)
        if self.server is None:
            self.outside = Simulation(self.worker)

    async def pair(self) -> None:
        """Pair the session and wait until it is in sync."""
        await self.worker.begin(SESSION)
        code = (await self.worker.heard(SESSION, "qr")).data["code"]
        await self.outside.scan(code)
        self.jid = (await self.worker.heard(SESSION, "paired")).data["jid"]
        await self.worker.heard(SESSION, "offline_sync_completed")

    async def close(self) -> None:
        for worker in (self.worker, *self._all):
            if worker.process is not None and worker.process.returncode is None:
                await worker.end(signal.SIGKILL)


async def new_worker(
    engine: str, data_dir: Path, server: Remote | None, settings: dict[str, Any] | None = None
) -> WorkerDriver:
    worker = WorkerDriver(data_dir, server, engine=engine, options={} if server else FAST, settings=settings)
    await worker.start()
    return worker


@pytest.fixture(scope="session")
def whatsapp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The fake server that neonize talks to."""
    process = ServerProcess(tmp_path_factory.mktemp("whatsapp"))
    yield process
    process.stop()


@pytest.fixture(params=["simulator", pytest.param("neonize", marks=pytest.mark.wire)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A fresh engine."""
    engine: str = request.param
    if engine == "simulator":
        worker = await new_worker(engine, tmp_path, None)
        made = Bench(engine, tmp_path, None, worker, Simulation(worker))
        yield made
        await made.close()
        return
    async with Remote(request.getfixturevalue("whatsapp")) as server:
        await server("account", number=ANN)
        worker = await new_worker(engine, tmp_path, server)
        made = Bench(engine, tmp_path, server, worker, FakeServer(server))
        yield made
        await made.close()

"""What a device store in PostgreSQL costs one worker: `python -m tests.cluster.devices [1 10]`, sessions in one worker.

Messages a second in and out, as fast as they go, and the time until all sessions are connected again after `kill -9` of the worker. The fake server and PostgreSQL run on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bot_service.domain.message import OutgoingMessage
from tests.cluster.replicas import postgresql_server
from tests.fake_whatsapp.remote import Remote, ServerProcess
from tests.support import postgresql
from tests.support.pgbouncer import PgBouncer
from tests.support.postgresql import PostgreSQL
from tests.wire.device_store import Replica, Store
from tests.wire.worker_driver import WorkerDriver, eventually

ANN = "15550002"
IN, OUT = 600, 300
Make = Callable[[], WorkerDriver]


async def _one(server: Remote, make: Make, count: int) -> tuple[float, float, float]:
    names = {f"s{number}": f"155510{number:02}" for number in range(count)}
    worker = make()
    await worker.start()
    try:
        jids = {name: await worker.pair(name, number) for name, number in names.items()}
        await server("send", sender=ANN, chat=names["s0"], body="hello")
        await eventually(lambda: worker.messages())
        begun = time.monotonic()
        ids = await server("flood", sender=ANN, chats=list(names.values()), count=IN // count)
        await eventually(lambda: len(worker.messages()) >= len(ids) + 1)
        took_in = time.monotonic() - begun

        async def send(name: str) -> None:
            for number in range(OUT // count):
                await worker.send(name, OutgoingMessage(id=f"{name}-{number}", to=ANN, type="text", text="hello"))

        begun = time.monotonic()
        await asyncio.gather(*map(send, names))
        took_out = time.monotonic() - begun
    finally:
        await worker.end(signal.SIGKILL)
    again = make()
    await again.start()
    try:
        begun = time.monotonic()
        await asyncio.gather(*(again.begin(name, jid) for name, jid in jids.items()))
        for name in names:
            await again.heard(name, "connected")
        back = time.monotonic() - begun
    finally:
        await again.end()
    return len(ids) / took_in, OUT / took_out, back


async def _row(postgres: PostgreSQL, process: ServerProcess, kind: str, count: int) -> None:
    database, pooler = f"{kind.lower()}_{count}", None
    with tempfile.TemporaryDirectory(prefix="veilleur-devices-") as name:
        folder = Path(name)
        async with Remote(process) as server:
            make: Make = lambda: WorkerDriver(folder, server)  # noqa: E731
            if kind != "SQLite":
                await postgresql.migrated(postgres, database)
                pooler = PgBouncer(postgres, database) if kind == "PgBouncer" else None
                store = Store(postgres, database, folder / "run", pooler=pooler.url if pooler is not None else None)
                make = lambda: Replica(folder, server, store, "only")  # noqa: E731
            try:
                came, went, back = await _one(server, make, count)
            finally:
                if pooler is not None:
                    pooler.close()
    print(f"| {kind} | {count} | {came:.0f} | {went:.0f} | {back:.1f} s |", flush=True)


async def measure(counts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder, postgresql_server() as postgres:
        process = ServerProcess(Path(folder))
        try:
            print("| store | sessions | in, messages/s | out, messages/s | connected again |\n|---|---|---|---|---|")
            for count in counts:
                for kind in ("SQLite", "PostgreSQL", "PgBouncer"):
                    await _row(postgres, process, kind, count)
        finally:
            process.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[1, 10])
    asyncio.run(measure(parser.parse_args().counts))


if __name__ == "__main__":
    main()

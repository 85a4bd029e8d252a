"""Many simulated sessions in one service: create, READY, memory, /health in a storm, cleanup, kill -9 and back.

``python -m tests.bench.sessions [--sessions 10000] [--workers 4] [--restore 500] [--rate 500] [--storm 20]``
Everything runs on loopback as real processes, but for the cleanup, which is measured in this process by the millisecond.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from bot_service import keys
from shared import logs
from tests.support.bot_app import running
from tests.support.fake_pool import FakePool
from tests.support.processes import Client, Program, bot

HOUR_MS = 3_600_000


def show(what: str, value: str, target: str = "") -> None:
    print(f"| {what} | {value} | {target} |", flush=True)


class Probe:
    """Asks /health twenty times a second and keeps how long each answer took."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.took_ms: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Probe:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                began = time.perf_counter()
                async with http.get(f"{self._url}/health") as answer:
                    await answer.read()
                self.took_ms.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(0.05)

    def told(self) -> str:
        ordered = sorted(self.took_ms)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        return f"p50 {ordered[len(ordered) // 2]:.1f} ms, p99 {p99:.1f} ms, worst {ordered[-1]:.1f} ms"


async def all_ready(client: Client, count: int, within_s: float) -> float:
    """Seconds until ``count`` sessions are READY; asserts when they are not within ``within_s``."""
    began = time.monotonic()
    ready = 0
    while time.monotonic() - began < within_s:
        try:
            _, health = await client.call("GET", "/health")
            ready = health["sessions"]["ready"] if isinstance(health, dict) and "sessions" in health else ready
        except aiohttp.ClientError:
            pass
        if ready >= count:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    raise AssertionError(f"{ready} of {count} sessions are READY after {within_s} s")


async def create(client: Client, count: int, at_once: int = 16) -> None:
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await client.post("/api/sessions", {"id": f"s{number}"})

    await asyncio.gather(*(some() for _ in range(at_once)))


def memory_mb(program: Program) -> tuple[float, float]:
    """PSS of the API process and of all its workers."""

    def pss(pid: int) -> float:
        return float(psutil.Process(pid).memory_full_info().pss) / 2**20

    return pss(program.pid), sum(pss(pid) for pid in program.worker_pids())


async def many(folder: Path, count: int, workers: int, rate: int, storm_s: int) -> None:
    program = bot(
        folder,
        name="many",
        ENGINE_SESSIONS_PER_WORKER=str(-(-count // workers)),
        SIMULATOR_OPTIONS="auto_pair_ms=200",
        BOOT_CONCURRENCY="256",
        LOG_LEVEL="warning",
    )
    program.start()
    try:
        await program.ready()
        api_empty, _ = memory_mb(program)
        async with Client(program.url) as client:
            async with Probe(program.url) as probe:
                began = time.monotonic()
                await create(client, count)
                made_s = time.monotonic() - began
                ready_s = made_s + await all_ready(client, count, 600)
            show(f"{count} sessions created", f"{made_s:.1f} s")
            show("all READY, from the first create", f"{ready_s:.1f} s")
            show("/health while creating", probe.told(), "no stall > 100 ms")
            api, in_workers = memory_mb(program)
            per = (api - api_empty + in_workers) / count * 1024
            show("memory", f"API {api:.0f} MB, workers {in_workers:.0f} MB: {per:.0f} kB a session")
            async with Probe(program.url) as probe:
                await storm(client, min(count, 50), rate, storm_s)
            show(f"/health in a storm of {rate} messages a second", probe.told(), "p99 < 20 ms")
            _, health = await client.call("GET", "/health")
            show("sessions READY after it", f"{health['sessions']['ready']} of {count}")
    finally:
        program.close()


async def storm(client: Client, over: int, rate: int, seconds: int) -> None:
    """``rate`` inbound messages a second for ``seconds``, spread over ``over`` sessions."""
    each = {"action": "message", "count": rate * seconds // over, "rate": rate / over}
    await asyncio.gather(*(client.post(f"/api/sessions/s{number}/simulate", each) for number in range(over)))
    await asyncio.sleep(seconds)


async def restore(folder: Path, count: int) -> None:
    program = bot(folder, name="restore", SIMULATOR_OPTIONS="auto_pair_ms=100", LOG_LEVEL="warning")
    try:
        program.start()
        await program.ready()
        async with Client(program.url) as client:
            await create(client, count)
            await all_ready(client, count, 300)
        program.kill()
        program.kill_workers()
        began = time.monotonic()
        program.start()
        await program.ready()
        async with Client(program.url) as client:
            await all_ready(client, count, 120)
        show(f"{count} sessions READY after kill -9 of everything", f"{time.monotonic() - began:.1f} s", "< 30 s")
    finally:
        program.close()


async def cleanup(folder: Path, count: int, expired: int) -> None:
    """In this process: a ticker sees every moment in which the loop does not turn."""
    gaps: list[float] = []
    own: list[float] = []

    async def tick() -> None:
        # The second clock leaves out the time in which other programs had the core.
        last, last_own = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(0)
            now, now_own = time.perf_counter(), time.thread_time()
            gaps.append((now - last) * 1000)
            own.append((now_own - last_own) * 1000)
            last, last_own = now, now_own

    async with running(folder / "cleanup", pool=FakePool(online=True), RECONNECT_PER_MINUTE="1000000") as service:
        supervisor, pool = service.app[keys.SUPERVISOR], service.pool
        for number in range(count):
            await service.app[keys.SESSIONS].create(_new(f"s{number}"), start=False)
        for number in range(count):
            supervisor.add(_ready(service.app[keys.REGISTRY].get(f"s{number}"), supervisor.now_ms(), number < expired))
        assert service.app[keys.REGISTRY].ready == count
        ticker = asyncio.create_task(tick())
        await asyncio.sleep(0.2)
        gaps.clear()
        own.clear()
        cleaned = await service.app[keys.CLEANUP].once()
        await asyncio.sleep(1.0)
        ticker.cancel()
        assert cleaned.closed == expired, cleaned
        stopped = sum(1 for name, _ in pool.calls if name == "stop")
        show(
            f"cleanup of {count} sessions",
            f"{cleaned.closed} closed ({stopped} stopped), longest stall {max(gaps):.1f} ms ({max(own):.1f} ms of own CPU)",
            "< 20 ms",
        )


def _new(session: str) -> Any:
    from bot_service.sessions.service import NewSession

    return NewSession("main", session)


def _ready(record: Any, now_ms: int, expired: bool) -> Any:
    import msgspec

    from bot_service.domain.states import State, Wanted

    seen = now_ms - 30 * HOUR_MS if expired else now_ms
    return msgspec.structs.replace(
        record, wanted=Wanted.RUN, state=State.READY, jid="x@s.whatsapp.net", linked=True, linked_ms=now_ms,
        engaged=True, active_ms=seen, created_ms=min(record.created_ms, seen),
    )  # fmt: skip


async def run(args: argparse.Namespace) -> None:
    logs.configure("json", "error")
    print("| | | target |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="veilleur-bench-") as name:
        folder = Path(name)
        if "many" in args.only:
            await many(folder, args.sessions, args.workers, args.rate, args.storm)
        if "cleanup" in args.only:
            await cleanup(folder, args.sessions, args.sessions // 100)
        if "restore" in args.only:
            await restore(folder, args.restore)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--restore", type=int, default=500)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--storm", type=int, default=20)
    parser.add_argument("--only", default="many,cleanup,restore", type=lambda text: text.split(","))
    asyncio.run(run(parser.parse_args()))

"""Many simulated sessions in one service: create, READY, memory, /health in a storm, cleanup, kill -9 and back.

``python -m tests.bench.sessions [--sessions 10000] [--workers 4] [--restore 500] [--rate 500] [--storm 20]``
Everything runs on loopback as real processes, but for the cleanup, which is measured in this process by the millisecond.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from bot_service import keys
from shared import logs
from tests.bench import inside, load, pages
from tests.bench.asking import Asking, told
from tests.support.bot_app import running
from tests.support.fake_pool import FakePool
from tests.support.processes import Client, Program, bot, free_port

HOUR_MS = 3_600_000


def show(what: str, value: str, target: str = "") -> None:
    print(f"| {what} | {value} | {target} |", flush=True)


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


def memory_mb(program: Program) -> tuple[float, float]:
    """PSS of the API process and of all its workers."""

    def pss(pid: int) -> float:
        return float(psutil.Process(pid).memory_full_info().pss) / 2**20

    return pss(program.pid), sum(pss(pid) for pid in program.worker_pids())


@contextlib.asynccontextmanager
async def watched(program: Program, what: str, target: str) -> AsyncIterator[None]:
    """Says of the time in the block how fast /health answered, and a bare server beside it, and how long the loop's turns were."""
    port = str(free_port())
    log = program.log.with_suffix(".bare.log")
    beside = Program("tests.bench.bare", {"PORT": port}, log=log, arguments=(port,))
    beside.start()
    try:
        await beside.ready()
        before = await inside.moment(program)
        ours, bare = f"{program.url}/health", f"{beside.url}/health"
        async with Asking([ours, bare]) as asking:
            yield
        after = await inside.moment(program)
    finally:
        beside.close()
    answers = asking.answers
    show(f"`/health` {what}", told(answers.took[ours]), target)
    show("— a bare aiohttp server at the same time", told(answers.took[bare]))
    show("— late to ask (the machine)", told(answers.late))
    show("— event loop", inside.told(before, after), "no turn > 100 ms")


async def many(folder: Path, args: argparse.Namespace) -> None:
    count = args.sessions
    program = bot(
        folder,
        name="many",
        ENGINE_SESSIONS_PER_WORKER=str(-(-count // args.workers)),
        SIMULATOR_OPTIONS="auto_pair_ms=200",
        BOOT_CONCURRENCY="256",
        LOG_LEVEL=args.log_level,
    )
    program.start()
    try:
        await program.ready()
        api_empty, _ = memory_mb(program)
        async with Client(program.url) as client:
            async with watched(program, "while creating", "no stall > 100 ms"):
                began = time.monotonic()
                await load.run("create", program.url, count, args.at_once)
                made_s = time.monotonic() - began
                ready_s = made_s + await all_ready(client, count, 600)
            show(f"{count} sessions created", f"{made_s:.1f} s: {count / made_s:.0f} a second", ">= 200 a second")
            show("all READY, from the first create", f"{ready_s:.1f} s")
            api, in_workers = memory_mb(program)
            per = (api - api_empty + in_workers) / count * 1024
            show("memory", f"API {api:.0f} MB, workers {in_workers:.0f} MB: {per:.0f} kB a session")
            async with watched(program, f"in a storm of {args.rate} messages a second", "p99 < 20 ms"):
                await load.run("storm", program.url, min(count, 50), args.rate, args.storm)
            figures = await client.get("/api/metrics")
            _, health = await client.call("GET", "/health")
            show("sessions READY after it", f"{health['sessions']['ready']} of {count}")
            show("messages stored", f"{figures['messages']['received']}", f"{args.rate * args.storm}")
            await pages.measure(program, f"s{count // 2}", lambda what, took: show(what, told(took), "< 50 ms"))
    finally:
        program.close()


async def restore(folder: Path, count: int) -> None:
    program = bot(folder, name="restore", SIMULATOR_OPTIONS="auto_pair_ms=100", LOG_LEVEL="warning")
    try:
        program.start()
        await program.ready()
        async with Client(program.url) as client:
            await load.run("create", program.url, count, 16)
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
        supervisor, pool = service.app[keys.SESSIONS].supervisor, service.pool
        for number in range(count):
            await service.app[keys.SESSIONS].commands.create(*_new(f"s{number}"))
        for number in range(count):
            supervisor.add(
                _ready(service.app[keys.SESSIONS].registry.get(f"s{number}"), supervisor.now_ms(), number < expired)
            )
        assert service.app[keys.SESSIONS].registry.wanted_ready == count
        ticker = asyncio.create_task(tick())
        await asyncio.sleep(0.2)
        gaps.clear()
        own.clear()
        cleaned = await service.app[keys.SESSIONS].cleanup.once()
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
    from bot_service.access.principals import ADMINISTRATOR
    from bot_service.sessions.commands import CreateSession

    return ADMINISTRATOR, CreateSession(id=session, start=False)


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
            await many(folder, args)
        if "cleanup" in args.only:
            await cleanup(folder, args.sessions, 100)
        if "restore" in args.only:
            await restore(folder, args.restore)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--restore", type=int, default=500)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--storm", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--only", default="many,cleanup,restore", type=lambda text: text.split(","))
    asyncio.run(run(parser.parse_args()))

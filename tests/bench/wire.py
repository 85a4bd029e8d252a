"""Measures the whole bot service with the real engine against the fake WhatsApp server: `python -m tests.bench.wire [50 200 500]`.

For each number of sessions: memory of all processes (proportional set size, divided), idle CPU, time until all are READY again after
`kill -9` of everything, messages in and out with percentiles, the lag of the API process's event loop (p99 and worst of stamps half a
second apart, and of all turns), and who used the CPU meanwhile. All sessions are paired beforehand in workers of their own; the fake server and this
measurement run on the same cores, so every figure is a floor.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted
from bot_service.store.sessions import row_of
from tests.fake_whatsapp.remote import Remote, ServerProcess
from tests.support.processes import WATCHDOG_TOKEN, Client, Program
from tests.support.receiver import Receiver
from tests.wire import programs
from tests.wire.worker_driver import WorkerDriver

SENDER = "15550002"
PER_WORKER = 50
READY_S = 240.0
IDLE_S = 15.0
INBOUND_PER_S, INBOUND_S = 50, 20
OUTBOUND, OUTBOUND_AT_ONCE = 500, 20
# With so many sessions the built-in library is compared with a copy that announces another client version.
COMPARED, COMPARISONS, SETTLED_S = 200, 3, 8.0
COPY = "2.3000.1052000000"


def number_of(index: int) -> str:
    return f"1556{index:05}"


def numbers(count: int) -> list[str]:
    return [number_of(index) for index in range(count)]


async def pair_all(data_dir: Path, server: Remote, count: int) -> dict[str, str]:
    """Pair every session in short-lived workers; returns their addresses by session."""
    jids: dict[str, str] = {}
    for begin in range(0, count, PER_WORKER):
        worker = WorkerDriver(data_dir, server)
        await worker.start()
        gate = asyncio.Semaphore(8)

        async def pair(index: int, worker: WorkerDriver = worker, gate: asyncio.Semaphore = gate) -> None:
            async with gate:
                jids[f"s{index}"] = await worker.pair(f"s{index}", number_of(index))

        await asyncio.gather(*(pair(index) for index in range(begin, min(begin + PER_WORKER, count))))
        await worker.end()
    for left in (data_dir / "journal").glob("*"):
        left.unlink()
    return jids


def insert(data_dir: Path, jids: dict[str, str]) -> None:
    """Make the paired sessions known to the bot service, as if it had paired them."""
    now_ms = int(time.time() * 1000)
    with contextlib.closing(sqlite3.connect(data_dir / "bot.db")) as db, db:
        for name, jid in jids.items():
            record = SessionRecord(
                id=name, owner="admin", name=name, created_ms=now_ms, wanted=Wanted.RUN, state=State.RECONNECTING,
                jid=jid, since_ms=now_ms, active_ms=now_ms, aged_from_ms=now_ms,
            )  # fmt: skip
            row = row_of(record)
            marks = ", ".join("?" * len(row))
            db.execute(f"INSERT INTO sessions ({', '.join(row)}) VALUES ({marks})", list(row.values()))


class Watcher:
    """Listens to the heartbeat, which beats as often as the loop guard stamps, and keeps every lag of the API's loop in milliseconds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lags: list[int] = []
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        headers = {"Authorization": f"Bearer {WATCHDOG_TOKEN}"}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError, ValueError):
                    async with http.get(f"{self.url}/api/heartbeat") as response:
                        async for line in response.content:
                            if line.startswith(b"data:"):
                                self._take(json.loads(line[5:]))
                await asyncio.sleep(0.1)

    def _take(self, beat: dict[str, Any]) -> None:
        self.lags.append(int(beat.get("loopLagMs", 0)))

    def fresh(self) -> list[int]:
        """The lags since this was last asked."""
        found, self.lags = self.lags, []
        return found

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def lag(values: list[int]) -> str:
    """p99 and worst of these lags."""
    if not values:
        return "no beat"
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p99 {p99} ms, worst {ordered[-1]} ms of {len(ordered)} stamps"


class Turns:
    """Every turn of the API's loop, from the histogram that it keeps: none is left out, but lengths are known to a bucket only."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._before: dict[float, float] = {}

    async def told(self) -> str:
        """The turns since this was last asked."""
        async with aiohttp.ClientSession() as http, http.get(f"{self._url}/metrics") as response:
            found = {float(le): float(count) for le, count in _TURNS.findall(await response.text())}
        fresh = {bound: count - self._before.get(bound, 0.0) for bound, count in found.items()}
        self._before = found
        total = max(fresh.values(), default=0.0)
        p99, worst = (min((b for b, n in fresh.items() if n >= total * part), default=0.0) for part in (0.99, 1.0))
        return f"{total:.0f} turns, p99 within {p99 * 1000:g} ms, worst within {worst * 1000:g} ms"


_TURNS = re.compile(r'^veilleur_bot_loop_turn_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)


class Shares:
    """Who used the CPU since the last look, in percent of one core; and what the whole machine had left."""

    def __init__(self, bot: Program, server_pid: int) -> None:
        self._groups = {
            "API": [bot.pid],
            "workers": bot.worker_pids(),
            "fake server": [server_pid],
            "measurement": [os.getpid()],
        }
        self._before = self._now()

    def told(self) -> str:
        """Since it was last told."""
        before, now = self._before, self._now()
        self._before = now
        spent = max(now["time"] - before["time"], 0.001)
        parts = [f"{name} {(now[name] - before[name]) / spent * 100:.0f} %" for name in (*self._groups, "nobody")]
        return f"{', '.join(parts)} (of {(os.cpu_count() or 1) * 100} %)"

    def _now(self) -> dict[str, float]:
        used = {name: cpu_s(pids) for name, pids in self._groups.items()}
        return {**used, "nobody": _idle_s(), "time": time.monotonic()}


def _idle_s() -> float:
    """Seconds that the cores had nothing to do, together."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (fields[3] + fields[4]) / os.sysconf("SC_CLK_TCK")


async def ready_after(client: Client, count: int, begun: float) -> float:
    """Seconds from ``begun`` until all sessions are READY."""
    until = time.monotonic() + READY_S
    ready = 0
    while time.monotonic() < until:
        with contextlib.suppress(aiohttp.ClientError, AssertionError, TimeoutError):
            health = await client.get("/health")
            ready = health["sessions"]["ready"]
            if ready >= count:
                return time.monotonic() - begun
        await asyncio.sleep(0.1)
    raise TimeoutError(f"{ready} of {count} sessions are ready after {READY_S:.0f} s")


def proportional_mb(pids: list[int]) -> float:
    """Proportional set size of all these processes together, in MB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def cpu_s(pids: list[int]) -> float:
    ticks = os.sysconf("SC_CLK_TCK")
    found = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found += (int(fields[11]) + int(fields[12])) / ticks
    return found


def percentiles(values: list[float]) -> str:
    if len(values) < 2:
        return "none"
    ordered = sorted(values)
    p50, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, worst {ordered[-1] * 1000:.0f} ms"


async def inbound(client: Client, server: Remote, receiver: Receiver, count: int) -> str:
    """Messages of a phone until they are at the webhook; the text carries the time at which it was sent."""
    receiver.requests.clear()
    total = INBOUND_PER_S * INBOUND_S
    await server(
        "flood", sender=SENDER, chats=numbers(min(count, 50)), count=total // min(count, 50), per_second=INBOUND_PER_S
    )
    until = time.monotonic() + INBOUND_S + 30
    while len(receiver.requests) < total and time.monotonic() < until:  # noqa: ASYNC110  another server fills the list
        await asyncio.sleep(0.2)
    delays = [at - float(text.split()[0]) for at, text in _texts(receiver)]
    return f"{len(delays)} of {total} at the webhook, {percentiles(delays)}"


def _texts(receiver: Receiver) -> list[tuple[float, str]]:
    found = []
    for request in receiver.requests:
        text = _find_text(request.json)
        if text and "flood" in text:
            found.append((request.at, text))
    return found


def _find_text(body: Any) -> str | None:
    if isinstance(body, dict):
        if isinstance(body.get("text"), str):
            return str(body["text"])
        return next((text for value in body.values() if (text := _find_text(value))), None)
    return None


async def outbound(client: Client, server: Remote, count: int) -> str:
    """Messages through the API until the phone has them."""
    begun = time.monotonic()
    sessions = [f"s{index}" for index in range(min(count, 50))]
    gate = asyncio.Semaphore(OUTBOUND_AT_ONCE)

    async def send(index: int) -> float:
        async with gate:
            return await post(index)

    async def post(index: int) -> float:
        at = time.monotonic()
        session = sessions[index % len(sessions)]
        await client.post(
            f"/api/sessions/{session}/messages",
            {"to": SENDER, "text": f"out {index}"},
            **{"Idempotency-Key": f"b{index}"},
        )
        return time.monotonic() - at

    took = await asyncio.gather(*(send(index) for index in range(OUTBOUND)))
    until = time.monotonic() + 120
    arrived = 0
    while arrived < OUTBOUND and time.monotonic() < until:
        arrived = sum(entry.get("text", "").startswith("out ") for entry in await server("inbox", number=SENDER))
        await asyncio.sleep(0.2)
    spent = time.monotonic() - begun
    return (
        f"{arrived} of {OUTBOUND} at the phone, {arrived / spent:.0f} a second; API answers {percentiles(list(took))}"
    )


async def measure(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-wire-") as folder:
        root = Path(folder)
        process = ServerProcess(root / "whatsapp")
        bot: Program | None = None
        try:
            async with Remote(process) as server, Receiver() as receiver:
                await server("account", number=SENDER)
                await server("quiet", number=SENDER)
                bot = programs.bot(
                    root,
                    server,
                    ENGINE_SESSIONS_PER_WORKER=str(PER_WORKER),
                    RECONNECT_PER_MINUTE="100000",
                    BOOT_STAGGER="0",
                    SEND_PER_MINUTE="0",
                    SEND_NEW_CHATS_PER_HOUR="0",
                    WEBHOOK_CONCURRENCY="16",
                    WEBHOOK_ALLOW_PRIVATE="true",
                    HEARTBEAT_INTERVAL="500",
                )
                data_dir = Path(bot.env["DATA_DIR"])
                data_dir.mkdir(parents=True)
                begun = time.monotonic()
                jids = await pair_all(data_dir, server, count)
                print(f"{count} sessions: paired in {time.monotonic() - begun:.0f} s", flush=True)
                bot.start()
                await bot.ready()
                bot.process.terminate()  # type: ignore[union-attr]
                await bot.exit_code()
                insert(data_dir, jids)
                await _with_bot(bot, server, process.pid, receiver, count)
                if count == COMPARED:
                    await _compare_libraries(bot, count)
        finally:
            if bot is not None:
                bot.close()
            process.stop()


async def _with_bot(bot: Program, server: Remote, server_pid: int, receiver: Receiver, count: int) -> None:
    begun = time.monotonic()
    lags: list[int] = []

    turns = Turns(bot.url)

    async def lag_of_phase(watcher: Watcher) -> str:
        fresh = watcher.fresh()
        lags.extend(fresh)
        return f"{lag(fresh)}; {await turns.told()}"

    bot.start()
    watcher = Watcher(bot.url)
    async with Client(bot.url) as client:
        print(f"  started, all READY after {await ready_after(client, count, begun):.1f} s", flush=True)
        print(f"  API loop lag during it: {await lag_of_phase(watcher)}", flush=True)
        await asyncio.sleep(3)
        watcher.fresh()
        pids = [bot.pid, *bot.worker_pids()]
        shares = Shares(bot, server_pid)
        before, at = cpu_s(pids), time.monotonic()
        await asyncio.sleep(IDLE_S)
        idle = (cpu_s(pids) - before) / (time.monotonic() - at) * 100
        memory = proportional_mb(pids)
        print(f"  idle: {memory:.0f} MB in {len(pids)} processes = {memory / count:.2f} MB a session, CPU {idle:.1f} %")
        print(f"  API loop lag idle: {await lag_of_phase(watcher)}; {shares.told()}", flush=True)
        status, answer = await client.call(
            "POST", "/api/webhooks", {"url": receiver.url + "/hook", "events": ["message"]}
        )
        if not 200 <= status < 300:
            raise RuntimeError(f"no webhook could be made: {status} {answer}")
        shares.told()
        print(f"  in: {await inbound(client, server, receiver, count)}")
        print(f"  API loop lag during it: {await lag_of_phase(watcher)}; {shares.told()}", flush=True)
        print(f"  out: {await outbound(client, server, count)}")
        print(f"  API loop lag during it: {await lag_of_phase(watcher)}; {shares.told()}", flush=True)
        memory = proportional_mb([bot.pid, *bot.worker_pids()])
        print(f"  after traffic: {memory:.0f} MB = {memory / count:.2f} MB a session", flush=True)
        bot.kill()
        bot.kill_workers()
        begun, turns = time.monotonic(), Turns(bot.url)
        bot.start()
        print(f"  killed with -9, all READY again after {await ready_after(client, count, begun):.1f} s")
        await asyncio.sleep(2.5)
        print(f"  API loop lag during it: {await lag_of_phase(watcher)}", flush=True)
        await watcher.stop()
        print(f"  API loop lag throughout: {lag(lags)}; load {os.getloadavg()[0]:.1f}", flush=True)


async def _compare_libraries(bot: Program, count: int) -> None:
    """Memory with the built-in library and with a copy that announces another version, in turns; the lower of each counts."""
    found: dict[str, list[float]] = {}
    for setting in ("builtin", COPY) * COMPARISONS:
        if bot.process is not None and bot.process.poll() is None:
            bot.process.terminate()
            await bot.exit_code()
        bot.env["WHATSAPP_VERSION"] = setting
        begun = time.monotonic()
        bot.start()
        async with Client(bot.url) as client:
            took_s = await ready_after(client, count, begun)
            await asyncio.sleep(SETTLED_S)
            memory = proportional_mb([bot.pid, *bot.worker_pids()])
        found.setdefault(setting, []).append(memory)
        print(
            f"  WHATSAPP_VERSION={setting}: READY after {took_s:.1f} s, {memory / count:.3f} MB a session", flush=True
        )
    builtin, copy = min(found["builtin"]), min(found[COPY])
    print(f"  copy against built-in library: {(copy / builtin - 1) * 100:+.2f} % memory a session", flush=True)


async def run(counts: list[int]) -> None:
    for count in counts:
        await measure(count)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wire")
    parser.add_argument("sessions", nargs="*", type=int, default=[50, 200, 500])
    arguments = parser.parse_args()
    sys.exit(asyncio.run(run(arguments.sessions)))


if __name__ == "__main__":
    main()

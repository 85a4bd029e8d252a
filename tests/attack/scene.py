"""Both programs at work, an attack on them, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench import load
from tests.support.processes import Client, Program, bot, watchdog
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

SESSIONS, PER_SECOND = 50, 50
OUTAGES = ("down", "was_down", "flapping", "degraded", "blind", "refused", "restarted")


@dataclass(frozen=True)
class Result:
    """Of one attack: times in ms, memory in MB."""

    name: str
    p50_ms: float
    p99_ms: float
    worst_ms: float
    restarts: int
    grown_mb: float
    sent: int
    lost: int
    alerts: list[str]
    log_bytes: int

    def faults(self, *, p99_ms: float = 100.0) -> list[str]:
        """What does not hold, in words."""
        found = {
            f"p99 of /health and /livez {self.p99_ms:.0f} ms": self.p99_ms >= p99_ms,
            f"{self.restarts} restarts": self.restarts > 0,
            f"{self.grown_mb:.0f} MB more": self.grown_mb >= 50,
            f"{self.lost} of {self.sent} messages lost": self.lost > 0 or self.sent == 0,
            f"false alerts: {', '.join(self.alerts)}": bool(self.alerts),
            f"{self.log_bytes} bytes of log": self.log_bytes >= 1_000_000,
        }
        return [words for words, wrong in found.items() if wrong]


@dataclass
class Scene:
    """Two programs, the receiver of messages and the receiver of alerts."""

    service: Program
    guard: Program
    hooks: Receiver
    alerts: Receiver
    sessions: int

    @property
    def programs(self) -> tuple[Program, Program]:
        return self.service, self.guard

    async def attacked(self, name: str, seconds: float) -> Result:
        """One attack on both programs at once while messages arrive."""
        pids, logs = [one.pid for one in self.programs], self._log_bytes()
        seen, alerted = len(self.hooks.requests), len(self.alerts.requests)
        before = [_resident_mb(pid) for pid in pids]
        peaks = list(before)
        urls = [one.url + path for one in self.programs for path in ("/health", "/livez")]
        async with process("tests.attack.probe", *urls) as probe:
            async with (
                process("tests.attack.strangers", name, str(self.service.port), "/api/sessions"),
                process("tests.attack.strangers", name, str(self.guard.port), "/api/pause"),
            ):
                sent = asyncio.create_task(self._messages(seconds))
                for _ in range(max(1, int(seconds * 4))):
                    await asyncio.sleep(0.25)
                    peaks = [max(peak, _resident_mb(pid)) for peak, pid in zip(peaks, pids, strict=True)]
            ids = await sent
        took = sorted(ms for times in json.loads(probe.output).values() for ms in times)
        lost = await self._missing(ids, seen)
        return Result(
            name,
            p50_ms=took[len(took) // 2],
            p99_ms=took[min(len(took) - 1, int(len(took) * 0.99))],
            worst_ms=took[-1],
            restarts=sum(one.process is None or one.process.poll() is not None for one in self.programs),
            grown_mb=max(peak - first for peak, first in zip(peaks, before, strict=True)),
            sent=len(ids),
            lost=lost,
            alerts=[kind for got in self.alerts.requests[alerted:] if (kind := _kind(got.json)) in OUTAGES],
            log_bytes=self._log_bytes() - logs,
        )

    async def _messages(self, seconds: float) -> set[str]:
        """Ids of the messages that people sent: one a second to each session."""
        each = {
            "action": "message",
            "count": max(1, round(seconds * PER_SECOND / self.sessions)),
            "rate": PER_SECOND / self.sessions,
        }
        async with Client(self.service.url) as client:
            answers = await asyncio.gather(
                *(client.post(f"/api/sessions/s{number}/simulate", each) for number in range(self.sessions))
            )
        return {one for answer in answers for one in answer["result"]["messageIds"]}

    async def _missing(self, ids: set[str], seen: int) -> int:
        def missing() -> set[str]:
            return ids - {got.json["data"]["id"] for got in self.hooks.requests[seen:]}

        with contextlib.suppress(AssertionError):
            await eventually(lambda: not missing(), within_s=60, every_s=0.25, what="every message")
        return len(missing())

    def _log_bytes(self) -> int:
        return sum(one.log.stat().st_size for one in self.programs)


@asynccontextmanager
async def scene(folder: Path, *, sessions: int = SESSIONS) -> AsyncIterator[Scene]:
    """Both programs with their usual settings, and sessions that are paired and connected."""
    async with Receiver() as hooks, Receiver() as alerts:
        service = bot(folder, WEBHOOK_ALLOW_PRIVATE="true", SIMULATOR_OPTIONS="auto_pair_ms=100")
        guard = watchdog(
            folder, service.url, ALERT_URLS=f"webhook://{alerts.url.removeprefix('http://')}",
            KEEP_ALIVE_INTERVAL="2000", KEEP_ALIVE_TIMEOUT="1500",
        )  # fmt: skip
        try:
            for program in (service, guard):
                program.start()
                await program.ready()
            await load.create(service.url, sessions, 5)
            async with Client(service.url) as client:
                await client.post("/api/webhooks", {"url": hooks.url, "events": ["message"]})

                async def ready() -> bool:
                    answer = await client.get("/health")
                    return bool(answer["sessions"]["ready"] == sessions)

                await eventually(ready, within_s=120, every_s=0.5, what="every session READY")
            await asyncio.sleep(2)
            yield Scene(service, guard, hooks, alerts, sessions)
        finally:
            guard.close()
            service.close()


class _Output:
    output = ""


@asynccontextmanager
async def process(module: str, *args: str) -> AsyncIterator[_Output]:
    """Another process that says a line when it begins, and ends with its standard input."""
    pipe, result = subprocess.PIPE, _Output()
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *args, stdin=pipe, stdout=pipe, limit=2**26
    )
    try:
        assert running.stdout is not None
        await running.stdout.readline()
        yield result
    finally:
        out, _ = await running.communicate(b"")
        result.output = out.decode()


def _resident_mb(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0


def _kind(value: dict[str, object]) -> str:
    return str(value.get("kind") or value.get("type", "")).rsplit(".", 1)[-1]

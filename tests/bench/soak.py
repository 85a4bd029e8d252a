"""An hour of faults: both programs as processes on loopback, messages both ways all the while, random faults, one account.

``python -m tests.bench.soak [--minutes 60] [--seed 1] [--sessions 5] [--only WORD,WORD]`` prints memory at start and end, missed and false alerts,
lost messages and messages that came twice, and ends with exit code 1 when an alert was missed or false or a message lost
without being named. ``--only`` takes faults by words in their names.
Variables are the defaults (ten-minute ping) but for the rule against flapping, which so many faults would trip.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.soak_files import DISK_BYTES, FileFaults, PipedProgram
from tests.support.disks import small_disk
from tests.support.processes import Client, Program, bot, watchdog
from tests.support.receiver import Received, Receiver
from tests.support.step_clock import StepClock
from tests.support.waiting import eventually

# An outage that lasts so long must be reported; a hang is decided within 20 s (the bar of bench-detection).
MUST_ALERT_S = 22.0
# A notice may still leave so long after its fault ended, and a fault be noticed so long after it began.
SLACK_S = 20.0
# Both programs follow a clock that was steady for so long; the steps are those of broken time services.
CLOCK_STEADY_S = 10.0
CLOCK_STEPS_S = (-3600.0, -300.0, -45.0, 45.0, 300.0, 2 * 86_400.0, 60 * 86_400.0)
UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError, AssertionError)


@dataclass
class Fault:
    """One fault that the watchdog may or must tell of; times are the loop's, in seconds."""

    kind: str
    begun: float
    ended: float | None = None

    @property
    def must_alert(self) -> bool:
        return self.ended is not None and self.ended - self.begun >= MUST_ALERT_S


@dataclass
class Soak:
    """Everything that runs, and what was seen."""

    service: Program
    guard: Program
    alerts: Receiver
    hooks: Receiver
    sessions: list[str]
    chance: random.Random
    files: FileFaults
    clock: StepClock
    only: tuple[str, ...] = ()
    outages: list[Fault] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    inbound: set[str] = field(default_factory=set)
    outbound: dict[str, tuple[str, str]] = field(default_factory=dict)

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()

    # --- traffic ---

    async def people_write(self, until: float) -> None:
        """About two messages a second from outside; counted once the simulated server has them on disk."""
        async with Client(self.service.url) as client:
            number = 0
            while self.now() < until:
                session, number = self.chance.choice(self.sessions), number + 1
                with contextlib.suppress(*UNREACHABLE):
                    reported = await asyncio.wait_for(
                        client.post(f"/api/sessions/{session}/simulate", {"action": "message", "text": f"in {number}"}),
                        5,
                    )
                    self.inbound.update(reported["result"]["messageIds"])
                await asyncio.sleep(0.5)

    async def we_write(self, until: float) -> None:
        """A message out every second, tried with one key until it is taken."""
        async with Client(self.service.url) as client:
            number = 0
            while self.now() < until:
                session, number = self.chance.choice(self.sessions), number + 1
                key, body = f"soak-{number}", {"to": "33600000001", "text": f"out {number}"}
                while self.now() < until and key not in self.outbound:
                    with contextlib.suppress(*UNREACHABLE):
                        taken = await asyncio.wait_for(
                            client.post(f"/api/sessions/{session}/messages", body, **{"Idempotency-Key": key}), 5
                        )
                        self.outbound[key] = (session, str(taken["id"]))
                    await asyncio.sleep(1)

    # --- faults ---

    async def faults(self, until: float) -> None:
        """One fault after another, each ended before the next, with quiet between."""
        table: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("bot killed, back at once", lambda: self._killed(0.5)),
            ("bot killed, gone for a while", lambda: self._killed(self.chance.uniform(MUST_ALERT_S, 40))),
            ("bot frozen for long", lambda: self._frozen(self.chance.uniform(MUST_ALERT_S + 5, 35))),
            ("bot frozen for a moment", lambda: self._frozen(self.chance.uniform(0.2, 2))),
            ("watchdog killed", self._watchdog_killed),
            ("worker killed", self._worker_killed),
            ("session dropped", lambda: self._simulated({"action": "drop"})),
            ("server unavailable", lambda: self._simulated({"action": "serverUnavailable"})),
            ("receivers of webhooks failing", self._receivers_failing),
            ("disk full", self._disk_full),
            ("journal damaged", self._journal_damaged),
            ("log blocked", self.files.log_blocked),
            ("clock set and set back", self._clock_set_and_set_back),
            ("clock set for good", self._clock_set),
        ]
        table = [row for row in table if not self.only or any(word in row[0] for word in self.only)]
        order: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        while self.now() < until - 60:
            order = order or self.chance.sample(table, len(table))
            name, fault = order.pop()
            print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
            await fault()
            self.done[name] += 1
            await self._well()
            await asyncio.sleep(self.chance.uniform(3, 12))

    async def _killed(self, away_s: float) -> None:
        outage = self._outage("kill")
        self.service.kill()
        await asyncio.sleep(away_s)
        self.service.start()
        await self.service.ready(within_s=60)
        outage.ended = self.now()

    async def _frozen(self, seconds: float) -> None:
        outage = self._outage("freeze")
        self.service.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.service.signal(signal.SIGCONT)
        outage.ended = self.now()

    async def _watchdog_killed(self) -> None:
        self.guard.kill()
        await asyncio.sleep(self.chance.uniform(0.5, 5))
        self.guard.start()
        await self.guard.ready(within_s=60)

    async def _worker_killed(self) -> None:
        workers = self.service.worker_pids()
        if workers:
            os.kill(self.chance.choice(workers), signal.SIGKILL)
        await asyncio.sleep(1)

    async def _simulated(self, command: dict[str, Any]) -> None:
        async with Client(self.service.url) as client:
            await client.call("POST", f"/api/sessions/{self.chance.choice(self.sessions)}/simulate", command)

    async def _receivers_failing(self) -> None:
        self.hooks.answer = self.alerts.answer = lambda _: (500, {}, {})
        await asyncio.sleep(self.chance.uniform(3, 10))
        self.hooks.answer = self.alerts.answer = None

    async def _clock_set_and_set_back(self) -> None:
        before = self.clock.offset_s
        self.clock.set(before + self.chance.choice(CLOCK_STEPS_S))
        await self._simulated({"action": "pumpDied"})  # a wait that begins under the wrong clock
        await asyncio.sleep(self.chance.uniform(1, 15))
        self.clock.set(before)

    async def _clock_set(self) -> None:
        self.clock.set(self.clock.offset_s + self.chance.choice(CLOCK_STEPS_S))
        await self._simulated({"action": "pumpDied"})
        await asyncio.sleep(1.5 * CLOCK_STEADY_S)

    async def _disk_full(self) -> None:
        outage = self._outage("full disk")
        await self.files.disk_full()
        outage.ended = self.now()

    async def _journal_damaged(self) -> None:
        """While no API process reads: a worker goes on writing, and its journal is harmed before it is read."""
        async with Client(self.service.url) as client:
            command = {"action": "message", "count": 60, "rate": 20, "text": "before the harm"}
            reported = await client.post(f"/api/sessions/{self.chance.choice(self.sessions)}/simulate", command)
            self.inbound.update(reported["result"]["messageIds"])
        outage = self._outage("kill")
        self.service.kill()
        await asyncio.sleep(1.5)
        print(f"         {self.files.damage_a_journal() or 'nothing was there to harm'}", flush=True)
        await asyncio.sleep(self.chance.uniform(0, 4))
        self.service.start()
        await self.service.ready(within_s=60)
        outage.ended = self.now()

    def _outage(self, kind: str) -> Fault:
        self.outages.append(Fault(kind, self.now()))
        return self.outages[-1]

    async def _well(self) -> None:
        """Until the watchdog says UP and every session is READY again."""

        async def fine() -> bool:
            async with Client(self.service.url) as client:
                keepalive = await client.get("/api/keepalive")
                states = [await client.get(f"/api/sessions/{name}") for name in self.sessions]
            return (
                keepalive["state"] == "UP" and not keepalive["stale"] and {one["state"] for one in states} == {"READY"}
            )

        async def quietly() -> bool:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                return await fine()
            return False

        await eventually(quietly, within_s=120, every_s=0.5, what="UP, and every session READY")

    # --- the account ---

    def false_alerts(self) -> list[str]:
        """Notices of an outage with no fault near it."""
        return [
            _kind(got)
            for got in self._notices("down", "was_down", "flapping", "degraded", "blind", "refused")
            if not any(fault.begun <= got.at <= (fault.ended or got.at) + SLACK_S for fault in self.outages)
        ]

    def missed_alerts(self) -> list[str]:
        """Outages long enough to be reported, and not reported."""
        reported = [got.at for got in self._notices("down", "was_down")]
        return [
            f"{fault.kind} of {(fault.ended or 0) - fault.begun:.1f} s"
            for fault in self.outages
            if fault.must_alert and not any(fault.begun <= at <= (fault.ended or at) + SLACK_S for at in reported)
        ]

    def _notices(self, *kinds: str) -> list[Received]:
        seen: set[str] = set()
        first = []
        for got in self.alerts.requests:
            notice = got.headers.get("webhook-id") or got.headers.get("Webhook-Id") or str(got.at)
            if notice not in seen and _kind(got) in kinds:
                seen.add(notice)
                first.append(got)
        return first

    async def lost(self) -> tuple[set[str], set[str]]:
        """(inbound that no webhook was reported of, outbound that never left), after two minutes of patience."""

        def missing_in() -> set[str]:
            return self.inbound - {got.json["data"]["id"] for got in self.hooks.requests}

        async def missing_out() -> set[str]:
            async with Client(self.service.url) as client:
                found = {
                    key: await client.get(f"/api/sessions/{session}/messages/{message}")
                    for key, (session, message) in self.outbound.items()
                }
            return {key for key, message in found.items() if message["state"] not in ("sent", "delivered", "read")}

        async def nothing() -> bool:
            return not self.unnamed(missing_in()) and not await missing_out()

        with contextlib.suppress(AssertionError):
            await eventually(nothing, within_s=120, every_s=1, what="every message")
        return missing_in(), await missing_out()

    def unnamed(self, lost: set[str]) -> set[str]:
        """Those that are neither named nor counted as lost by the service."""
        ids, more = self.files.named()
        left = lost - ids
        return left if len(left) > more else set()


def _kind(got: Received) -> str:
    return str(got.json.get("kind") or got.json.get("type", "")).rsplit(".", 1)[-1]


def _resident_mb(*pids: int) -> float:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return total / 2**20


def _memory(soak: Soak) -> str:
    workers = soak.service.worker_pids()
    return (
        f"bot {_resident_mb(soak.service.pid):.1f} MB, {len(workers)} worker(s) {_resident_mb(*workers):.1f} MB,"
        f" watchdog {_resident_mb(soak.guard.pid):.1f} MB"
    )


async def run(minutes: float, seed: int, sessions: int, folder: Path, only: tuple[str, ...] = ()) -> int:
    disk, chance = folder / "disk", random.Random(seed)
    with small_disk(disk, DISK_BYTES) as mounted:
        return await _run(minutes, chance, sessions, folder, disk, only, mounted=mounted)


async def _run(
    minutes: float,
    chance: random.Random,
    sessions: int,
    folder: Path,
    disk: Path,
    only: tuple[str, ...],
    *,
    mounted: bool,
) -> int:
    clock = StepClock(folder / "clock")
    async with Receiver() as alerts, Receiver() as hooks:
        made = bot(
            folder,
            DATA_DIR=str(disk / "bot-data"),
            WEBHOOK_ALLOW_PRIVATE="true",
            SEND_PER_MINUTE="0",
            SEND_NEW_CHATS_PER_HOUR="0",
            CLOCK_STEADY_AFTER=f"{CLOCK_STEADY_S:.0f}s",
            **clock.env,
            **clock.worker_env,
        )
        service = PipedProgram.of(made)
        made = watchdog(
            folder,
            service.url,
            DATA_DIR=str(disk / "watchdog-data"),
            ALERT_URLS=f"webhook://{alerts.url.removeprefix('http://')}",
            FLAP_CHANGES="1000",
            CLOCK_STEADY_AFTER=f"{CLOCK_STEADY_S:.0f}s",
            **clock.env,
        )
        guard = PipedProgram.of(made)
        files = FileFaults(service, guard, disk, mounted=mounted, chance=chance)
        soak = Soak(service, guard, alerts, hooks, [f"s{n}" for n in range(sessions)], chance, files, clock, only)
        try:
            for program in (service, guard):
                program.start()
                await program.ready()
            await _pair(soak)
            await soak._well()
            await asyncio.sleep(5)
            before, begun = _memory(soak), time.monotonic()
            until = soak.now() + minutes * 60
            await asyncio.gather(soak.people_write(until), soak.we_write(until), soak.faults(until))
            lost_in, lost_out = await soak.lost()
            await soak._well()
            return _tell(soak, before, (time.monotonic() - begun) / 60, lost_in, lost_out)
        finally:
            guard.close()
            service.close()


async def _pair(soak: Soak) -> None:
    async with Client(soak.service.url) as client:
        await client.post("/api/webhooks", {"url": soak.hooks.url, "events": ["message"]})
        for name in soak.sessions:
            await client.post("/api/sessions", {"id": name})

            async def scanned(name: str = name) -> bool:
                status, _ = await client.call("POST", f"/api/sessions/{name}/simulate", {"action": "scan"})
                return status == 200

            await eventually(scanned, within_s=30, every_s=0.2, what=f"the scan of {name}")


def _tell(soak: Soak, before: str, minutes: float, lost_in: set[str], lost_out: set[str]) -> int:
    missed, false = soak.missed_alerts(), soak.false_alerts()
    ids = Counter(got.json["data"]["id"] for got in soak.hooks.requests)
    must = sum(fault.must_alert for fault in soak.outages)
    print(f"\n{minutes:.1f} minutes, {sum(soak.done.values())} faults: {dict(soak.done)}")
    print(f"memory at the start: {before}")
    print(f"memory at the end:   {_memory(soak)}")
    print(
        f"outages that needed an alert: {must}; missed alerts: {len(missed)} {missed}; false alerts: {len(false)} {false}"
    )
    unnamed = soak.unnamed(lost_in)
    print(
        f"messages in: {len(soak.inbound)}, lost: {len(lost_in)}, without a name: {len(unnamed)}; deliveries repeated: {sum(ids.values()) - len(ids)}"
    )
    print(f"messages out: {len(soak.outbound)}, lost: {len(lost_out)}")
    return 1 if missed or false or unnamed or lost_out else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--only", default="", help="faults by words in their names, separated by commas")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="veilleur-soak-") as folder:
        code = asyncio.run(
            run(given.minutes, given.seed, given.sessions, Path(folder), tuple(filter(None, given.only.split(","))))
        )
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    raise SystemExit(main())

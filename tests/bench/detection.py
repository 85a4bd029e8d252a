"""From fault to alert: both programs as processes on loopback, real kills, a webhook that takes the time.

``python -m tests.bench.detection [--faults 20] [--only crash,hang,error,slow,restart,cost] [--profile default,fast,"two watchdogs"]``

The defaults are those of the programs (ten-minute ping, two-second heartbeat). ``fast`` is a ping every second, a retry
every 200 ms, a time-out of 1 s and a heartbeat every 500 ms. Errors and slow answers at the defaults are seen by the
regular ping only: 300 s on average, and not worth an hour of waiting; they are measured with a ping every ten seconds.
``two watchdogs`` is the defaults with two watchdogs of one bot and a pair of Alertmanagers (Debian's), whose webhook takes the time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support import processes
from tests.support.fault_proxy import FaultProxy
from tests.support.monitoring import alertmanager_pair
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

# A bench breaks the bot far more often than the rule against flapping would let pass.
COMMON: dict[str, Any] = {"FLAP_CHANGES": "1000", "KEEP_ALIVE_START_DELAY": "100"}
PROFILES: dict[str, dict[str, Any]] = {
    "default": {},
    "fast": {
        "KEEP_ALIVE_INTERVAL": "1000",
        "KEEP_ALIVE_RETRY_INTERVAL": "200",
        "KEEP_ALIVE_TIMEOUT": "1000",
        "KEEP_ALIVE_DOWN_INTERVAL": "1000",
        "HEARTBEAT_INTERVAL": "500",
    },
    "two watchdogs": {},
    "10 s ping": {"KEEP_ALIVE_INTERVAL": "10000"},
}
# (kind, profile) -> (statistic, bar in seconds)
BARS = {
    ("crash", "default"): ("p99", 5.0),
    ("hang", "default"): ("p99", 20.0),
    ("crash", "two watchdogs"): ("p99", 7.0),
    ("hang", "two watchdogs"): ("p99", 22.0),
    ("crash", "fast"): ("median", 0.8),
    ("hang", "fast"): ("median", 2.6),
}


@dataclass
class Pair:
    """One bot and its watchdogs, a webhook, and a proxy between when answers are to be faulted."""

    bot: processes.Program
    watchdogs: list[processes.Program]
    hook: Receiver
    proxy: FaultProxy | None

    async def wait_for(self, kinds: set[str], since: float, within_s: float) -> tuple[float, str]:
        """The first notice of ``kinds`` that arrived after ``since``: (when, kind)."""

        def look() -> tuple[float, str] | None:
            for got in self.hook.requests:
                kind = kind_of(got.json)
                if got.at >= since and kind in kinds:
                    return got.at, kind
            return None

        found: tuple[float, str] = await eventually(look, within_s=within_s, every_s=0.005, what=f"one of {kinds}")
        return found

    async def is_up(self, within_s: float = 40.0) -> None:
        """Wait until every watchdog counts the bot as UP, hears its heartbeat, and hears the other one."""
        wanted = [
            'veilleur_watchdog_target_state{state="UP",target="bot"} 1.0',
            'veilleur_watchdog_heartbeat_up{target="bot"} 1.0',
        ]
        async with aiohttp.ClientSession() as http:

            async def look() -> bool:
                for watchdog in self.watchdogs:
                    async with http.get(watchdog.url + "/metrics") as answer:
                        lines = (await answer.text()).splitlines()
                    peers = [line for line in lines if line.startswith("veilleur_watchdog_peer_up{")]
                    if not all(line in lines for line in wanted) or not all(line.endswith(" 1.0") for line in peers):
                        return False
                return True

            await eventually(look, within_s=within_s, every_s=0.1, what="UP")


def kind_of(body: dict[str, Any]) -> str:
    """The kind of a notice that came from a watchdog, or from an Alertmanager."""
    if "commonLabels" in body:
        kind = str(body["commonLabels"].get("kind", ""))
        return kind if body["status"] == "firing" else {"down": "up"}.get(kind, f"{kind}_over")
    return str(body.get("kind") or body.get("type", "")).rsplit(".", 1)[-1]


@asynccontextmanager
async def pair(folder: Path, profile: str, *, proxied: bool) -> AsyncIterator[Pair]:
    folder.mkdir(parents=True)
    settings = PROFILES[profile]
    beat = {name: value for name, value in settings.items() if name == "HEARTBEAT_INTERVAL"}
    bot = processes.bot(folder, **beat)
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(Receiver())
        bot.start()
        stack.callback(bot.close)
        proxy = await stack.enter_async_context(FaultProxy(bot.url)) if proxied else None
        env, ports = {"ALERT_URLS": hook.url, **COMMON, **settings}, [processes.free_port()]
        if profile == "two watchdogs":
            alertmanagers = alertmanager_pair(folder, hook.url, wait="0s")
            for one in alertmanagers:
                one.start()
                stack.callback(one.close)
            for one in alertmanagers:
                await one.ready()
                await one.joined()
            ports.append(processes.free_port())
            env["ALERT_URLS"] = "alertmanager://" + ",".join(f"{one.host}:{one.port}" for one in alertmanagers)
            env["WATCHDOG_PEERS"] = ",".join(f"http://127.0.0.1:{port}" for port in ports)
        await bot.ready()
        watchdogs = []
        for number, port in enumerate(ports):
            name = f"watchdog-{number}"
            watchdogs.append(
                processes.watchdog(
                    folder, proxy.url if proxy else bot.url, port=port, name=name, WATCHDOG_NAME=name, **env
                )
            )
            watchdogs[-1].start()
            stack.callback(watchdogs[-1].close)
        for watchdog in watchdogs:
            await watchdog.ready()
        yield Pair(bot, watchdogs, hook, proxy)


def now() -> float:
    return asyncio.get_running_loop().time()


async def one_fault(pair: Pair, kind: str, phase_s: float) -> tuple[float, float]:
    """(seconds to the alert, seconds from recovery to its notice)."""
    await pair.is_up()
    await asyncio.sleep(random.uniform(0, phase_s))
    began = now()
    if kind == "crash":
        pair.bot.kill()
    elif kind == "hang":
        pair.bot.signal(signal.SIGSTOP)
    else:
        assert pair.proxy is not None
        pair.proxy.fault = "500" if kind == "error" else "slow"
    alerted, _ = await pair.wait_for({"down", "unanswered"}, began, 60)
    if kind == "crash":
        pair.bot.start()
        await pair.bot.ready("/livez")
        back = now()
    else:
        back = now()
        if kind == "hang":
            pair.bot.signal(signal.SIGCONT)
        else:
            assert pair.proxy is not None
            pair.proxy.fault = ""
    resolved, _ = await pair.wait_for({"up", "unanswered_over"}, back - 1, 60)
    return alerted - began, max(0.0, resolved - back)


async def measure(folder: Path, kind: str, profile: str, faults: int, pairs: int) -> tuple[list[float], list[float]]:
    phase_s = {"fast": 1.0, "10 s ping": 10.0}.get(profile, 2.5)
    alerts: list[float] = []
    resolves: list[float] = []

    async def worker(number: int, share: int) -> None:
        place, proxied = folder / f"{kind}-{profile.replace(' ', '')}-{number}", kind in ("error", "slow")
        # Alertmanager holds back a second outage of the same ten minutes: each fault gets programs of its own.
        each = 1 if profile == "two watchdogs" else share
        for turn in range(share // each):
            async with pair(place / str(turn), profile, proxied=proxied) as one:
                for _ in range(each):
                    alerted, resolved = await one_fault(one, kind, phase_s)
                    alerts.append(alerted)
                    resolves.append(resolved)

    shares = [faults // pairs + (at < faults % pairs) for at in range(pairs)]
    await asyncio.gather(*(worker(at, share) for at, share in enumerate(shares)))
    return alerts, resolves


async def restarts(folder: Path, faults: int) -> tuple[int, int, list[float]]:
    """(told as restarted, told as down, seconds the bot was gone) of bots that are killed and started at once."""
    gone: list[float] = []
    kinds: list[str] = []
    async with pair(folder / "restart", "default", proxied=False) as one:
        for _ in range(faults):
            await one.is_up()
            await asyncio.sleep(random.uniform(0, 2.5))
            began = now()
            one.bot.kill()
            one.bot.start()
            await one.bot.ready("/livez")
            gone.append(now() - began)
            seen = len(kinds)

            def decided(began: float = began, seen: int = seen) -> str:
                # Only the first restarts in a quarter of an hour are sent; the log has them all.
                seen_kinds = [event["event"] for event in one.watchdogs[0].events()]
                if any(got.at >= began and got.json["type"].endswith(".down") for got in one.hook.requests):
                    return "down"
                return "restarted" if seen_kinds.count("target.restarted") > seen else ""

            kinds.append(await eventually(decided, within_s=30, every_s=0.1, what="the restart"))
    return kinds.count("restarted"), kinds.count("down"), gone


async def cost(folder: Path, interval_ms: int, seconds: float) -> tuple[float, float, int]:
    """(resident MB, CPU s per 1000 pings, pings) of a watchdog of a healthy bot."""
    folder = folder / f"cost-{interval_ms}"
    folder.mkdir(parents=True)
    bot = processes.bot(folder)
    bot.start()
    watchdog = processes.watchdog(folder, bot.url, KEEP_ALIVE_INTERVAL=str(interval_ms), **COMMON)
    try:
        await bot.ready()
        watchdog.start()
        await watchdog.ready()
        await asyncio.sleep(3)
        pings = await ping_count(watchdog.url)  # before the processor time: the scrape is this bench's own
        cpu = cpu_s(watchdog.pid)
        await asyncio.sleep(seconds)
        used, made = cpu_s(watchdog.pid) - cpu, await ping_count(watchdog.url) - pings
        return resident_mb(watchdog.pid), 1000 * used / max(1, made), made
    finally:
        watchdog.close()
        bot.close()


def cpu_s(pid: int) -> float:
    """Processor time of all threads. The scheduler's own count, in nanoseconds, where there is one: the times of
    ``/proc/<pid>/stat`` are sampled at the clock's tick on many kernels, and a program that wakes up on whole seconds is
    then found running at nearly every tick that it is near, or at none."""
    counts = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if counts:
        return sum(int(count.read_text().split()[0]) for count in counts) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


async def ping_count(url: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith("veilleur_watchdog_pings_total"))


def p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def verdict(kind: str, profile: str, values: list[float]) -> str:
    bar = BARS.get((kind, profile))
    if bar is None:
        return ""
    value = p99(values) if bar[0] == "p99" else statistics.median(values)
    return f"{'ok' if value <= bar[1] else 'MISSED'}: {bar[0]} <= {bar[1]} s"


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=2, help="pairs of programs that are broken side by side")
    parser.add_argument("--only", default="crash,hang,error,slow,restart,cost")
    parser.add_argument("--profile", default="fast,default,two watchdogs,10 s ping")
    args = parser.parse_args()
    kinds, profiles = args.only.split(","), args.profile.split(",")
    missed = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="veilleur-bench-") as made:
        folder = Path(made)
        print(
            f"{'fault':8} {'settings':13} {'n':>3} {'median':>7} {'p99':>7} {'max':>7}   resolved: median  max   bar",
            flush=True,
        )
        for profile in profiles:
            for kind in ("crash", "hang", "error", "slow"):
                slow_kind = kind in ("error", "slow")
                if (
                    kind not in kinds
                    or (profile in ("default", "two watchdogs") and slow_kind)
                    or (profile == "10 s ping" and not slow_kind)
                ):
                    continue
                # The fast settings are measured one pair at a time: two cores must not decide the figure.
                pairs = 1 if profile == "fast" else args.pairs
                alerts, resolves = await measure(folder, kind, profile, args.faults, pairs)
                told = verdict(kind, profile, alerts)
                missed += "MISSED" in told
                print(
                    f"{kind:8} {profile:13} {len(alerts):3} {statistics.median(alerts):7.2f} {p99(alerts):7.2f}"
                    f" {max(alerts):7.2f}   {statistics.median(resolves):16.2f} {max(resolves):6.2f}   {told}",
                    flush=True,
                )
        if "restart" in kinds:
            restarted, down, gone = await restarts(folder, args.faults)
            missed += down > sum(1 for seconds in gone if seconds > 3)
            print(
                f"restart  default       {args.faults:3}: {restarted} seen as restarted, {down} as down;"
                f" gone {min(gone):.2f} to {max(gone):.2f} s",
                flush=True,
            )
        if "cost" in kinds:
            for interval_ms, seconds in ((1000, 60.0), (100, 20.0)):
                rss, cpu, pings = await cost(folder, interval_ms, seconds)
                bad = rss > 60 or cpu > 3
                missed += bad
                print(
                    f"cost: a ping every {interval_ms} ms: {rss:.1f} MB resident (<= 60), {cpu:.2f} CPU s per 1000 pings"
                    f" (<= 3) over {pings} pings {'MISSED' if bad else 'ok'}",
                    flush=True,
                )
    print(f"took {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))

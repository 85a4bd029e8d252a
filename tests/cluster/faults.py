"""What one fault costs replicas with the real engine, while messages arrive and are sent all the time.

Each replica has a way to PostgreSQL of its own (:class:`~tests.cluster.link.Link`), which can be cut. A phone counts as away from the
fault until its next client has logged in. What arrived counts only when it is in PostgreSQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.kill_whatsapp import BEFORE_S, Traffic, faults, next_logins
from tests.cluster.link import Link
from tests.cluster.replicas import postgresql_server
from tests.cluster.whatsapp import ANN, WhatsApp, number_of, whatsapp
from tests.fake_whatsapp.remote import Remote, ServerProcess
from tests.support.waiting import eventually

REPLICAS = 3
AWAY_S = 10.0
HEADER = (
    "| fault | away, longest | arrived | lost | sent; refused with 503 | not at the phone; twice | load |\n"
    "|---|---|---|---|---|---|---|"
)

# A fault is over when this returns, with the longest time that a phone was away.
Fault = Callable[[], Awaitable[float]]


@dataclass
class Scene:
    """Three replicas with paired sessions; ``links`` are their ways to PostgreSQL. ``missed`` are the bars that did not hold."""

    made: WhatsApp
    names: list[str]
    links: list[Link]
    missed: list[str] = field(default_factory=list)

    def of(self, replica: int) -> list[str]:
        return [session for session, owner in self.made.replica_of().items() if owner == replica]

    async def under(
        self, what: str, fault: Fault, *, rate: float, by: int, lasts_s: float, away_s: float = AWAY_S
    ) -> None:
        """Print the row of ``fault``; messages are sent by way of replica ``by``."""
        made = self.made
        async with Traffic(made, self.names, rate, by, lasts_s) as traffic:
            await asyncio.sleep(BEFORE_S)
            took_s = await fault()
            await made.ready(by, len(self.names))
            await asyncio.sleep(max(0.0, traffic.begun_s + lasts_s - time.monotonic()))
        await traffic.settle()
        inbox = await traffic.inbox()
        lost = len(traffic.expected - traffic.arrived())
        missing = sum(inbox.count(text) == 0 for text in traffic.texts)
        twice = sum(inbox.count(text) > 1 for text in traffic.texts)
        print(
            f"| {what} | {took_s:.1f} s | {len(traffic.expected)} | {lost} | {len(traffic.texts)}; {traffic.refused} |"
            f" {missing}; {twice} | {os.getloadavg()[0]:.0f} |",
            flush=True,
        )
        bars = {"lost": lost, "not at the phone": missing, "twice": twice, f"away over {away_s:.0f} s": took_s > away_s}
        self.missed += [f"{what}: {name}" for name, is_missed in bars.items() if is_missed]
        await made.even(*range(REPLICAS))
        await made.ready(0, len(self.names))

    async def end(self, *, stood_still: bool = False) -> None:
        """Print what must never happen, and end the program with 1 when a bar did not hold.

        The connection of a process that stands still is open until it wakes: its phone gets a new client beside it.
        """
        replaced, doubled, unreadable = await faults(self.made)
        failed = int(self.made.rows("SELECT count(*) FROM messages WHERE direction = 'out' AND state = 'failed'")[0][0])
        print(
            f"replaced {replaced}; logins beside a living client {doubled}; unreadable {unreadable}; rejected {failed}"
        )
        self.missed += ["replaced, beside another, unreadable or rejected"] * any(
            (replaced, doubled and not stood_still, unreadable, failed)
        )
        if self.missed:
            sys.exit("These do not hold: " + "; ".join(self.missed))

    # --- faults ---

    async def cut(self, replica: int, for_s: float) -> float:
        """The replica does not reach PostgreSQL; everything else, WhatsApp included, it does."""
        moved, began_s = self.of(replica), time.monotonic()
        self.links[replica].cut()
        try:
            away = await next_logins(self.made, moved, began_s)
            await asyncio.sleep(max(0.0, began_s + for_s - time.monotonic()))
        finally:
            self.links[replica].heal()
        return max(away)

    async def stop(self, replica: int, what: str, for_s: float) -> float:
        """``api``, ``workers`` or ``both`` of a replica stand still. Workers that had been stopped end by themselves, or were ended."""
        program, workers = self.made.programs[replica], self.made.programs[replica].worker_pids()
        stopped = {"api": [program.pid], "workers": workers, "both": [program.pid, *workers]}[what]
        moved, began_s = self.of(replica), time.monotonic()
        _signal(stopped, signal.SIGSTOP)
        try:
            away = await next_logins(self.made, moved, began_s)
            await asyncio.sleep(max(0.0, began_s + for_s - time.monotonic()))
        finally:
            _signal(stopped, signal.SIGCONT)
        await eventually(lambda: not any(map(_lives, workers)), what="the end of the old workers")
        return max(away)

    async def kill(self, replica: int) -> float:
        """The service and its workers at once, as if the machine were gone; it comes back afterwards."""
        moved, began_s = self.of(replica), time.monotonic()
        self.made.end(replica)
        away = await next_logins(self.made, moved, began_s)
        self.made.programs[replica].start()
        await self.made.programs[replica].ready()
        return max(away)

    async def restart_store(self, for_s: float) -> float:
        """PostgreSQL is killed, and started later. Away counts from the moment when it answers again."""
        await asyncio.to_thread(self.made.server.stop)
        await asyncio.sleep(for_s)
        await asyncio.to_thread(self.made.server.start)
        return max(await next_logins(self.made, self.names, time.monotonic()))


@contextlib.asynccontextmanager
async def scene(sessions: int) -> AsyncIterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="veilleur-faults-") as name, postgresql_server() as server:
        process = ServerProcess(Path(name) / "whatsapp")
        try:
            async with (
                Remote(process) as phones_at,
                contextlib.AsyncExitStack() as stack,
                whatsapp(Path(name), server, phones_at, 0) as made,
            ):
                links = [await stack.enter_async_context(Link(server.port)) for _ in range(REPLICAS)]
                for link in links:
                    await made.add(DATABASE_URL=server.url("cluster").replace(f":{server.port}/", f":{link.port}/"))
                names = [f"phone-{number:03}" for number in range(sessions)]
                await made.pair(*names)
                await made.phones_at("send", sender=ANN, chat=number_of(names[0]), body="hello")
                await made.even(*range(REPLICAS))
                await made.ready(0, sessions)
                yield Scene(made, names, links)
        finally:
            process.stop()


def seconds(text: str) -> float:
    """``30s`` or ``30``."""
    return float(text.removesuffix("s"))


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

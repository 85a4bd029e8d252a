"""What a lost replica costs with the real engine: run by ``python -m tests.cluster.kill`` with ``ENGINE=neonize``.

Messages arrive and are sent all the time. A replica and its workers are killed at once and its folder is deleted: the machine is gone
for good, and what arrived is counted in PostgreSQL only. A phone counts as away from that moment until its next client has logged in.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp

from tests.cluster.lease import show
from tests.cluster.replicas import postgresql_server
from tests.cluster.whatsapp import ANN, WhatsApp, number_of, whatsapp
from tests.fake_whatsapp.remote import Remote, ServerProcess
from tests.support.pgbouncer import PgBouncer
from tests.support.waiting import eventually

LASTS_S = 25.0
BEFORE_S = 4.0
SETTLE_S = 120.0


@dataclass
class Result:
    owners_s: list[float] = field(default_factory=list)
    away_s: list[float] = field(default_factory=list)
    arrived: int = 0
    lost: int = 0
    sent: int = 0
    refused: int = 0
    not_read: int = 0
    twice: int = 0


@contextlib.asynccontextmanager
async def replicas(count: int, *, pooled: bool) -> AsyncIterator[tuple[WhatsApp, list[str], PgBouncer | None]]:
    """Three replicas with ``count`` paired sessions, whose names are second."""
    with tempfile.TemporaryDirectory(prefix="veilleur-kill-") as name, postgresql_server() as server:
        folder = Path(name)
        process = ServerProcess(folder / "whatsapp")
        env = {}
        pooler: PgBouncer | None = None
        try:
            async with Remote(process) as phones_at:
                if pooled:
                    pooler = PgBouncer(server, "cluster", pool=20)
                    env["DEVICE_STORE_URL"] = pooler.url
                async with whatsapp(folder, server, phones_at, 3, **env) as made:
                    names = [f"phone-{number:03}" for number in range(count)]
                    await made.pair(*names)
                    await made.phones_at("send", sender=ANN, chat=number_of(names[0]), body="hello")
                    await made.even(0, 1, 2)
                    await made.ready(0, count)
                    yield made, names, pooler
        finally:
            process.stop()
            if pooler is not None:
                pooler.close()


@dataclass
class Traffic:
    """Messages that arrive at ``rate`` a second for ``lasts_s``, and one that is sent by way of replica ``by`` every 0.2 s."""

    made: WhatsApp
    names: list[str]
    rate: float
    by: int
    lasts_s: float = LASTS_S
    expected: set[tuple[str, str]] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    refused: int = 0
    begun_s: float = 0.0

    async def __aenter__(self) -> Self:
        count = max(1, int(self.rate * self.lasts_s / len(self.names)))
        chats = [number_of(name) for name in self.names]
        ids = await self.made.phones_at("flood", sender=ANN, chats=chats, count=count, per_second=self.rate)
        self.expected = {(self.names[index % len(self.names)], message) for index, message in enumerate(ids)}
        self.begun_s = time.monotonic()
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self) -> None:
        for turn in itertools.count():
            session, text = self.names[turn % len(self.names)], f"{self.begun_s:.3f} message {turn}"
            try:
                status, _ = await self.made.clients[self.by].call(
                    "POST", f"/api/sessions/{session}/messages", {"to": ANN, "text": text}
                )
            except (aiohttp.ClientError, TimeoutError):
                status = 599
            if status < 300:
                self.texts.append(text)
            else:  # its owner is gone and the next one not there yet, or the store is away: the caller comes again
                self.refused += 1
            await asyncio.sleep(0.2)

    async def settle(self) -> None:
        """Until the flood is over, nothing is owed to a client, and nothing more comes."""
        await asyncio.sleep(max(0.0, self.begun_s + self.lasts_s - time.monotonic()))
        until, last, since = time.monotonic() + SETTLE_S, -1, time.monotonic()
        while time.monotonic() < until:
            there = len(self.arrived())
            if there != last or (await self.made.stats())["owed"] or await self.made.phones_at("flooding"):
                last, since = there, time.monotonic()
            elif time.monotonic() - since > 3.0:
                return
            await asyncio.sleep(0.5)

    def arrived(self) -> set[tuple[str, str]]:
        """What is a message in PostgreSQL."""
        return self.expected & self.made.stored()

    async def inbox(self) -> list[str]:
        """What the phone got, once all of it is there or 60 s are over."""
        until = time.monotonic() + 60.0
        while True:
            found = [str(entry.get("text")) for entry in await self.made.phones_at("inbox", number=ANN)]
            if set(self.texts) <= set(found) or time.monotonic() > until:
                return found
            await asyncio.sleep(0.5)


async def next_logins(made: WhatsApp, sessions: Iterable[str], after_s: float) -> list[float]:
    """When each session logged in for the first time after a moment, counted from it."""
    found = []
    for session in sessions:

        async def logged_in(of: str = session) -> float | None:
            logins = (await made.phones_at("account", number=number_of(of)))["logins"]
            return next((float(login) for login in logins if login > after_s), None)

        login_s = await eventually(logged_in, within_s=90.0, every_s=0.1, what=f"a login of {session}")
        found.append((login_s or 0.0) - after_s)
    return found


async def faults(made: WhatsApp) -> tuple[int, int, int]:
    """How often another client threw one off, a login came beside a living client, and the phone could not read."""
    replaced = made.rows("SELECT count(*) FROM transitions WHERE reason LIKE 'replaced%'")[0][0]
    unreadable = (await made.phones_at("phone", number=ANN))["unreadable"]
    return int(replaced), int((await made.stats()).get("doubled", 0)), len(unreadable)


async def measure(sessions: int, rate: float, rounds: int, *, pooled: bool) -> None:
    async with replicas(sessions, pooled=pooled) as (made, names, _):
        registered, result = (await made.stats())["registrations"], Result()
        for number in range(rounds):
            await _round(made, names, rate, number, result)
            await made.even(0, 1, 2)
            await made.ready(0, sessions)
        replaced, doubled, unreadable = await faults(made)
        codes = (await made.stats())["registrations"] - registered
    away = sorted(result.away_s)
    show("other owners, longest", f"{max(result.owners_s):.1f} s", "< 5.5 s")
    show("away until the next login, median and longest", f"{away[len(away) // 2]:.1f} s, {away[-1]:.1f} s", "< 10 s")
    show("arrived; not in PostgreSQL", f"{result.arrived}; {result.lost}", "0")
    show("sent: accepted, refused", f"{result.sent}, {result.refused}")
    show("of those accepted, not at the phone; twice there", f"{result.not_read}; {result.twice}", "0; 0")
    show("QR codes; replaced; logins beside a living client", f"{codes}; {replaced}; {doubled}", "0; 0; 0")
    show("unreadable at the phone", str(unreadable), "0")


async def _round(made: WhatsApp, names: list[str], rate: float, number: int, result: Result) -> None:
    victim, survivor = number % 3, (number + 1) % 3
    moved = {session for session, owner in made.replica_of().items() if owner == victim}
    async with Traffic(made, names, rate, survivor) as traffic:
        await asyncio.sleep(BEFORE_S)
        began_s = time.monotonic()
        made.end(victim)
        made.lose_disk(victim)
        await eventually(lambda: victim not in made.shares() and None not in made.shares(), every_s=0.05, what="owners")
        result.owners_s.append(time.monotonic() - began_s)
        result.away_s += await next_logins(made, moved, began_s)
        await asyncio.sleep(max(0.0, traffic.begun_s + LASTS_S - time.monotonic()))
    await traffic.settle()
    result.arrived += len(traffic.expected)
    result.lost += len(traffic.expected - traffic.arrived())
    inbox = await traffic.inbox()
    result.sent += len(traffic.texts)
    result.refused += traffic.refused
    result.not_read += sum(inbox.count(text) == 0 for text in traffic.texts)
    result.twice += sum(inbox.count(text) > 1 for text in traffic.texts)
    made.programs[victim].start()
    await made.programs[victim].ready()

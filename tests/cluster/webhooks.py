"""Webhooks while replicas are killed: `python -m tests.cluster.webhooks [--events 10000] [--kill-every 5s]`.

Each event must reach the receiver, with the same id when it is repeated, in the order of its session, and never from two replicas
at once. Real bot services with the simulator.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.cluster.faults import seconds
from tests.cluster.lease import show
from tests.cluster.replicas import Cluster, cluster, postgresql_server
from tests.support.waiting import eventually

REPLICAS = 3
WITHIN_S = 300.0


@dataclass
class Got:
    """What came, by session: texts in the order of their first arrival. ``overlaps``: two attempts of a lane at the same time."""

    ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    order: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    requests: int = 0
    overlaps: int = 0
    _open: Counter[str] = field(default_factory=Counter)

    async def take(self, request: web.Request) -> web.Response:
        event: Any = await request.json()
        session, text = event["session"], event["data"]["text"]
        self.requests += 1
        self._open[session] += 1
        # A replica that was killed has left its request behind: it counts no more once its connection is closed.
        self.overlaps += self._open[session] > 1
        try:
            await asyncio.sleep(0.001)
            if not self.ids[text]:
                self.order[session].append(text)
            self.ids[text].add(event["id"])
            return web.Response()
        finally:
            self._open[session] -= 1


async def write(made: Cluster, sessions: list[str], events: int, per_round: int) -> None:
    """``events`` messages that arrive, some for each session in turn, by way of whichever replica answers."""
    for begin in range(0, events, per_round):
        session = sessions[begin // per_round % len(sessions)]
        for number in range(begin, min(begin + per_round, events)):
            attempts = count()

            async def arrives(number: int = number, session: str = session, attempts: Iterator[int] = attempts) -> bool:
                # An answer that is lost with its replica leaves a message behind: the next attempt is another one.
                return await _arrives(made, session, f"{session} {number:06} {next(attempts):03}")

            await eventually(arrives, within_s=60.0, what="an answer")


async def _arrives(made: Cluster, session: str, text: str) -> bool:
    args = {"action": "message", "from": "4915112345678", "text": text}
    client = made.clients[int(text[-3:]) % REPLICAS]
    try:
        status, _ = await client.call("POST", f"/api/sessions/{session}/simulate", args)
    except (aiohttp.ClientError, TimeoutError):
        return False
    return status < 300


async def kill_in_turn(made: Cluster, every_s: float) -> None:
    for turn in range(1000):
        await asyncio.sleep(every_s)
        number = turn % REPLICAS
        made.programs[number].kill()
        made.programs[number].kill_workers()
        made.programs[number].start()
        await made.programs[number].ready()


async def measure(events: int, every_s: float, sessions: int) -> None:
    got = Got()
    app = web.Application()
    app.router.add_post("/", got.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        with tempfile.TemporaryDirectory(prefix="veilleur-webhooks-") as folder, postgresql_server() as server:
            async with cluster(Path(folder), server, REPLICAS, WEBHOOK_ALLOW_PRIVATE="true") as made:
                names = [f"phone-{number:03}" for number in range(sessions)]
                await made.pair(*names)
                await made.even(*range(REPLICAS))
                await made.clients[0].post("/api/webhooks", {"url": url, "events": ["message"]})
                began_s = time.monotonic()
                killing = asyncio.create_task(kill_in_turn(made, every_s))
                try:
                    await write(made, names, events, 10)
                finally:
                    killing.cancel()
                    await asyncio.gather(killing, return_exceptions=True)
                for program in made.programs:
                    await program.ready()
                stored = int(made.rows("SELECT count(*) FROM messages WHERE direction = 'in'")[0][0])
                await eventually(lambda: len(got.ids) >= stored, within_s=WITHIN_S, what="all deliveries")
                took_s = time.monotonic() - began_s
    finally:
        await runner.cleanup()
    unordered = sum(texts != sorted(texts) for texts in got.order.values())
    several = sum(len(ids) > 1 for ids in got.ids.values())
    show("events, deliveries, seconds", f"{stored}, {got.requests}, {took_s:.0f}")
    show("not delivered", str(stored - len(got.ids)), "0")
    show("events with several ids; lanes out of order; two at once in a lane",
         f"{several}; {unordered}; {got.overlaps}", "0; 0; 0")  # fmt: skip
    if stored != len(got.ids) or several or unordered or got.overlaps:
        sys.exit("That does not hold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--kill-every", type=seconds, default=5.0, dest="every_s")
    parser.add_argument("--sessions", type=int, default=12)
    given = parser.parse_args()
    asyncio.run(measure(given.events, given.every_s, given.sessions))


if __name__ == "__main__":
    main()

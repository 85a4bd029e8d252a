"""How long sessions are away when a replica is killed, and when it ends in order.

``python -m tests.cluster.kill [--sessions 150] [--rounds 3]``: real bot services with the simulator on a real PostgreSQL, on loopback.
With ``ENGINE=neonize`` the real engine, the fake WhatsApp server and messages (``tests/cluster/kill_whatsapp.py``). A phone counts as away from the moment of the kill, or from the end of its client, until its next client has logged in.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

from tests.cluster import kill_whatsapp
from tests.cluster.lease import show
from tests.cluster.replicas import Cluster, cluster, postgresql_server
from tests.support.waiting import eventually


async def killed(made: Cluster, count: int) -> None:
    owned = made.shares()[0]
    began_s = time.monotonic()
    async with made.one_client_each():
        made.programs[0].kill()
        await eventually(
            lambda: 0 not in made.shares() and None not in made.shares(), every_s=0.05, what="other owners"
        )
        took_s = time.monotonic() - began_s
        await made.ready(1, count)
    show(f"kill -9 of a replica with {owned} of {count} sessions: other owners", f"{took_s:.1f} s", "< 5.5 s")
    show("the last of them logged in elsewhere", f"{max(made.logins_s().values()) - began_s:.1f} s", "< 10 s")


async def ended(made: Cluster, count: int) -> None:
    owners = made.replica_of()
    moved = {session for session, owner in owners.items() if owner == 1}
    async with made.one_client_each():
        made.programs[1].signal(signal.SIGTERM)
        await made.programs[1].exit_code()
        await made.ready(2, count)
    away_s = sorted(away_s for session, away_s in made.offline_s().items() if session in moved)
    show(
        f"SIGTERM of a replica with {len(moved)} of {count} sessions: away, median and longest",
        f"{away_s[len(away_s) // 2]:.2f} s, {away_s[-1]:.2f} s",
        "< 1 s",
    )


async def measure(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="veilleur-kill-") as folder, postgresql_server() as server:
        async with cluster(Path(folder), server, 3) as made:
            await made.pair(*(f"phone-{number:03}" for number in range(count)))
            await made.even(0, 1, 2)
            await made.ready(0, count)
            await killed(made, count)
    with tempfile.TemporaryDirectory(prefix="veilleur-kill-") as folder, postgresql_server() as server:
        async with cluster(Path(folder), server, 3) as made:
            await made.pair(*(f"phone-{number:03}" for number in range(count)))
            await made.even(0, 1, 2)
            await made.ready(0, count)
            await ended(made, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40.0, help="messages that arrive a second, with ENGINE=neonize")
    parser.add_argument("--pooled", action="store_true", help="with PgBouncer, with ENGINE=neonize")
    given = parser.parse_args()
    if os.environ.get("ENGINE") == "neonize":
        asyncio.run(kill_whatsapp.measure(given.sessions, given.rate, given.rounds, pooled=given.pooled))
        return
    for _ in range(given.rounds):
        asyncio.run(measure(given.sessions))


if __name__ == "__main__":
    main()

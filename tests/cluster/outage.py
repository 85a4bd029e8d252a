"""What outages of PostgreSQL cost replicas with the real engine: `python -m tests.cluster.outage [restart-5 freeze-20 pooler-5 …]`.

``restart-N``: PostgreSQL is killed and started N seconds later. ``freeze-N``: it stands still. ``pooler-N``: PgBouncer is killed and
started. Messages arrive and are sent all the time. A phone counts as away from the moment when PostgreSQL answers again.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time

from tests.cluster.kill_whatsapp import BEFORE_S, Traffic, faults, next_logins, replicas
from tests.cluster.whatsapp import WhatsApp
from tests.support.pgbouncer import PgBouncer


async def _outage(made: WhatsApp, pooler: PgBouncer, kind: str, seconds: float) -> None:
    if kind == "freeze":
        made.server.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            made.server.signal(signal.SIGCONT)
        return
    what = pooler if kind == "pooler" else made.server
    await asyncio.to_thread(what.stop)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(what.start)


async def measure(sessions: int, rate: float, outages: list[str]) -> None:
    async with replicas(sessions, pooled=True) as (made, names, pooler):
        assert pooler is not None
        print(
            "| outage | away after it, longest | arrived | lost | sent, refused | not at the phone, twice |\n|---|---|---|---|---|---|"
        )
        for each in outages:
            kind, _, seconds = each.partition("-")
            lasts_s = float(seconds) + 20.0
            async with Traffic(made, names, rate, 0, lasts_s) as traffic:
                await asyncio.sleep(BEFORE_S)
                await _outage(made, pooler, kind, float(seconds))
                back_s = time.monotonic()
                # A pooler that is back before a message came has cost no connection to WhatsApp.
                away = max(await next_logins(made, names, back_s)) if kind != "pooler" else 0.0
                await made.ready(0, len(names))
                await asyncio.sleep(max(0.0, traffic.begun_s + lasts_s - time.monotonic()))
            await traffic.settle()
            inbox = await traffic.inbox()
            lost = len(traffic.expected - traffic.arrived())
            missing = sum(inbox.count(text) == 0 for text in traffic.texts)
            twice = sum(inbox.count(text) > 1 for text in traffic.texts)
            print(f"| {each} s | {away:.1f} s | {len(traffic.expected)} | {lost} | {len(traffic.texts)}, {traffic.refused} |"
                  f" {missing}, {twice} |", flush=True)  # fmt: skip
            await made.even(0, 1, 2)
            await made.ready(0, len(names))
        failed = made.rows("SELECT count(*) FROM messages WHERE direction = 'out' AND state = 'failed'")[0][0]
        print(f"replaced; logins beside a living client; unreadable: {await faults(made)}; sends rejected: {failed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outages", nargs="*", default=["restart-5", "restart-15", "freeze-20", "pooler-5"])
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--rate", type=float, default=20.0)
    given = parser.parse_args()
    asyncio.run(measure(given.sessions, given.rate, given.outages))


if __name__ == "__main__":
    main()

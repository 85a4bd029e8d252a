"""A replica that does not reach PostgreSQL: `python -m tests.cluster.partition [--replica r2] [--for 30s]`.

It must leave WhatsApp before its lease is over, others go on with its sessions, and it comes back by itself. Replicas are r1, r2, r3.
"""

from __future__ import annotations

import argparse
import asyncio
from functools import partial

from tests.cluster.faults import HEADER, REPLICAS, scene, seconds


async def measure(sessions: int, rate: float, replica: int, for_s: float) -> None:
    async with scene(sessions) as made:
        print(HEADER)
        cut = partial(made.cut, replica, for_s)
        by = (replica + 1) % REPLICAS
        await made.under(f"r{replica + 1} cut off for {for_s:.0f} s", cut, rate=rate, by=by, lasts_s=for_s + 15)
        await made.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replica", choices=["r1", "r2", "r3"], default="r2")
    parser.add_argument("--for", type=seconds, default=30.0, dest="for_s")
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--rate", type=float, default=20.0)
    given = parser.parse_args()
    asyncio.run(measure(given.sessions, given.rate, int(given.replica[1:]) - 1, given.for_s))


if __name__ == "__main__":
    main()

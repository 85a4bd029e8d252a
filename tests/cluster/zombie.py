"""A replica that stands still and wakes: `python -m tests.cluster.zombie [--stop 20s] [--what api,workers,both]`.

Nothing of what it still holds may reach a phone twice or throw another client off, and its workers end by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from functools import partial

from tests.cluster.faults import AWAY_S, HEADER, scene, seconds


async def measure(sessions: int, rate: float, stop_s: float, what: list[str]) -> None:
    async with scene(sessions) as made:
        print(HEADER)
        for each in what:
            stop = partial(made.stop, 1, each, stop_s)
            # Workers alone are ended and replaced by their own replica, which waits longer than others wait for its lease.
            away_s = math.inf if each == "workers" else AWAY_S
            await made.under(
                f"{each} of r2 stopped for {stop_s:.0f} s", stop, rate=rate, by=2, lasts_s=stop_s + 15, away_s=away_s
            )
        await made.end(stood_still=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", type=lambda text: text.split(","), default="api,workers,both")
    parser.add_argument("--stop", type=seconds, default=20.0, dest="stop_s")
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--rate", type=float, default=20.0)
    given = parser.parse_args()
    asyncio.run(measure(given.sessions, given.rate, given.stop_s, given.what))


if __name__ == "__main__":
    main()

"""One random fault after another on replicas with the real engine: `python -m tests.cluster.soak [--minutes 60] [--seed 1]`."""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable
from functools import partial

from tests.cluster.faults import HEADER, REPLICAS, Fault, Scene, scene


def _kill(made: Scene, chance: random.Random) -> tuple[str, Fault, int]:
    replica = chance.randrange(REPLICAS)
    return f"r{replica + 1} killed", partial(made.kill, replica), replica


def _freeze(made: Scene, chance: random.Random) -> tuple[str, Fault, int]:
    replica, what, for_s = chance.randrange(REPLICAS), chance.choice(["api", "workers", "both"]), chance.uniform(8, 25)
    return f"{what} of r{replica + 1} stopped for {for_s:.0f} s", partial(made.stop, replica, what, for_s), replica


def _cut(made: Scene, chance: random.Random) -> tuple[str, Fault, int]:
    replica, for_s = chance.randrange(REPLICAS), chance.uniform(8, 30)
    return f"r{replica + 1} cut off for {for_s:.0f} s", partial(made.cut, replica, for_s), replica


def _store(made: Scene, chance: random.Random) -> tuple[str, Fault, int]:
    for_s = chance.uniform(2, 15)
    return f"PostgreSQL away for {for_s:.0f} s", partial(made.restart_store, for_s), 0


# A worker that stands still is given this time by its replica.
LONGEST_S = 45.0

FAULTS: list[Callable[[Scene, random.Random], tuple[str, Fault, int]]] = [_kill, _freeze, _cut, _store]


async def soak(minutes: float, seed: int, sessions: int, rate: float) -> None:
    chance = random.Random(seed)
    async with scene(sessions) as made:
        print(HEADER)
        until_s = time.monotonic() + minutes * 60
        while time.monotonic() < until_s:
            what, fault, replica = chance.choice(FAULTS)(made, chance)
            await made.under(what, fault, rate=rate, by=(replica + 1) % REPLICAS, lasts_s=25, away_s=LONGEST_S)
        await made.end(stood_still=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--rate", type=float, default=10.0)
    given = parser.parse_args()
    asyncio.run(soak(given.minutes, given.seed, given.sessions, given.rate))


if __name__ == "__main__":
    main()

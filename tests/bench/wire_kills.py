"""Measures what `kill -9` of an engine worker loses: `python -m tests.bench.wire_kills [--rounds N]`; needs some minutes."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from pathlib import Path

from tests.fake_whatsapp.remote import Remote, ServerProcess
from tests.wire.kills import measure

SERIES = (
    ("1 session, 100 a second", {"sessions": 1, "per_second": 100.0}),
    ("10 sessions, 100 a second", {"sessions": 10, "per_second": 100.0}),
    ("1 session, as fast as possible", {"sessions": 1, "per_second": 0.0}),
    ("10 sessions, as fast as possible", {"sessions": 10, "per_second": 0.0}),
    ("10 sessions in a group, as fast as possible", {"sessions": 10, "per_second": 0.0, "grouped": True}),
    ("1 session, replying all the time", {"sessions": 1, "per_second": 0.0, "replying": True}),
    ("10 sessions, SIGTERM", {"sessions": 10, "per_second": 0.0, "end": signal.SIGTERM}),
)


async def run(rounds: int, only: str) -> int:
    bad = 0
    for name, options in SERIES:
        if only not in name:
            continue
        for number in range(rounds):
            with tempfile.TemporaryDirectory(prefix="wire-kills-") as folder:
                root = Path(folder)
                (root / "data").mkdir()
                process = ServerProcess(root / "whatsapp")
                try:
                    async with Remote(process) as server:
                        chance = random.Random(number)
                        loss = await measure(server, root / "data", chance=chance, **options)  # type: ignore[arg-type]
                finally:
                    process.stop()
            print(f"{name}: {loss}", flush=True)
            bad += len(loss.acknowledged) + loss.acknowledged_early + len(loss.unnamed)
    return 1 if bad else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wire_kills")
    parser.add_argument("--rounds", type=int, default=4, help="of five kills each")
    parser.add_argument("--only", default="", help="part of the name of a series")
    arguments = parser.parse_args()
    sys.exit(asyncio.run(run(arguments.rounds, arguments.only)))


if __name__ == "__main__":
    main()

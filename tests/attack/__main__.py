"""Every attack of strangers on both programs at work: ``python -m tests.attack [--seconds 60] [--only idle,packed]``.

50 simulated sessions receive 50 messages a second. Exit code 1 when an attack does more than it may.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from shared import logs
from tests.attack.attacks import ATTACKS
from tests.attack.scene import Result, scene


async def _run(names: list[str], seconds: float) -> int:
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="veilleur-attack-", ignore_cleanup_errors=True) as folder:
        async with scene(Path(folder)) as running:
            for name in names:
                results.append(await running.attacked(name, seconds))
                print(_row(results[-1]), file=sys.stderr)
                if results[-1].restarts:
                    break
    print(f"{seconds:g} s each; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end.\n")
    print("| attack | p50, p99, worst of /health and /livez | restarts | memory | messages lost | false alerts | log |")
    print("|---|---|---|---|---|---|---|")
    for result in results:
        print(_row(result))
    wrong = {result.name: faults for result in results if (faults := result.faults())}
    for name, faults in wrong.items():
        print(f"\n{name}: {'; '.join(faults)}")
    return 1 if wrong or len(results) < len(names) else 0


def _row(result: Result) -> str:
    return (
        f"| {result.name}: {ATTACKS[result.name].about} | {result.p50_ms:.1f}, {result.p99_ms:.1f}, {result.worst_ms:.0f} ms "
        f"| {result.restarts} | +{result.grown_mb:.1f} MB | {result.lost} of {result.sent} | {len(result.alerts)} "
        f"| {result.log_bytes / 1000:.1f} kB |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default="", help="names separated by commas")
    given = parser.parse_args()
    names = [name for name in given.only.split(",") if name] or list(ATTACKS)
    unknown = [name for name in names if name not in ATTACKS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(ATTACKS)}")
    logs.configure("console", "error")
    return asyncio.run(_run(names, given.seconds))


if __name__ == "__main__":
    raise SystemExit(main())

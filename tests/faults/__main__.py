"""Every fault on the running service as one table: ``python -m tests.faults [--only drop,poison] [--at-once 3]``.

Each fault has a service of its own; most of them wait, so a few run side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from shared import logs
from tests.faults.catalogue import FAULTS
from tests.faults.scene import Fault, Row


async def _run(faults: list[Fault], at_once: int) -> int:
    gate, failed = asyncio.Semaphore(at_once), 0

    async def one(fault: Fault) -> Row | None:
        nonlocal failed
        async with gate:
            with tempfile.TemporaryDirectory(prefix="veilleur-fault-", ignore_cleanup_errors=True) as name:
                try:
                    row = await fault.run(Path(name))
                except Exception as error:  # one fault that is not shown must not hide the others
                    failed += 1
                    print(f"{fault.name}: {error}", file=sys.stderr)
                    return None
        print(f"done: {fault.name}", file=sys.stderr)
        return row

    rows = await asyncio.gather(*(one(fault) for fault in faults))
    print(f"Load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end, {at_once} services side by side.\n")
    print("| fault | reaction | seconds | until | answers of the API |\n|---|---|---|---|---|")
    for fault, row in zip(faults, rows, strict=True):
        if row is None:
            print(f"| {fault.name} | **not shown** | | | |")
        else:
            took = "" if row.took_s is None else f"{row.took_s:.1f}"
            print(f"| {fault.name} | {row.reaction} | {took} | {row.until} | {row.answers} |")
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="faults whose name holds one of these words")
    parser.add_argument("--at-once", type=int, default=3)
    given = parser.parse_args()
    words = [word for word in given.only.split(",") if word]
    logs.configure("json", "critical")
    raise SystemExit(
        asyncio.run(_run([f for f in FAULTS if not words or any(w in f.name for w in words)], given.at_once))
    )

"""What the leases of three replicas cost at rest, and how long a take-over lasts.

``python -m tests.cluster.lease [--sessions 10000] [--seconds 30]`` prints the table of docs/benchmarks/cluster.md. Real bot services
on a real PostgreSQL, on loopback. The sessions rest (wanted: stop), so nothing but the leases is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import psutil

from bot_service.domain.session_record import SessionRecord
from bot_service.store.database import open_database
from bot_service.store.sessions import SessionStore
from shared.clock import SystemClock, to_ms
from tests.cluster.replicas import Cluster, cluster, postgresql_server
from tests.support.waiting import eventually

TTL_S = 5.0


def show(what: str, value: str, target: str = "") -> None:
    print(f"| {what} | {value} | {target} |", flush=True)


async def fill(url: str, count: int) -> None:
    """``count`` sessions that rest, as a service stores them."""
    database = await open_database(url)
    now_ms = to_ms(SystemClock().now())
    records = [
        SessionRecord(id=f"rest-{number:05}", owner="main", name=f"Rest {number}", created_ms=now_ms, since_ms=now_ms,
                      active_ms=now_ms, aged_from_ms=now_ms, creation="bench")
        for number in range(count)
    ]  # fmt: skip
    async with database.write() as connection:
        await SessionStore(database, SystemClock()).write_all(connection, records)
    await database.close()


def wal_bytes(made: Cluster) -> int:
    return int(made.rows("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")[0][0])


def cpu_s(pid: int, *, with_children: bool) -> float:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)] if with_children else [process]
    total = 0.0
    for each in family:
        try:
            times = each.cpu_times()
            total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


async def measure(count: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="veilleur-lease-") as folder, postgresql_server() as server:
        async with cluster(Path(folder), server, 0) as made:
            await fill(server.url("cluster"), count)
            await made.add(3)
            await made.even(0, 1, 2)
            server.sql("VACUUM ANALYZE", "cluster")
            await asyncio.sleep(5.0)
            print(
                f"3 replicas, {count} sessions, lease {TTL_S:g} s, {seconds:g} s at rest\n\n| | figure | target |\n|---|---|---|"
            )
            # The bots first: their own connections end last. Both are read in the same moment.
            pids = [program.pid for program in made.programs]
            bots, postgres = (
                [cpu_s(pid, with_children=False) for pid in pids],
                cpu_s(server.process.pid, with_children=True),
            )
            wal, began = wal_bytes(made), time.monotonic()
            await asyncio.sleep(seconds)
            wal = wal_bytes(made) - wal
            lasted = time.monotonic() - began
            postgres = cpu_s(server.process.pid, with_children=True) - postgres
            own = [cpu_s(pid, with_children=False) - before for pid, before in zip(pids, bots, strict=True)]
            show("WAL, everything of three services", f"{wal / lasted / 1024:.2f} KB/s", "< 5 KB/s")
            show("PostgreSQL, everything of three services", f"{postgres / lasted * 100:.2f} % of a core", "< 2 %")
            show("one API process, everything", f"{max(own) / lasted * 100:.2f} % of a core")
            before = made.epochs()
            made.programs[0].kill()
            killed = time.monotonic()
            gone = made.rows("SELECT id FROM replicas WHERE url = '" + made.programs[0].url + "'")[0][0]
            owned = int(made.rows(f"SELECT count(*) FROM leases WHERE holder = '{gone}'")[0][0])
            free = f"SELECT count(*) FROM leases WHERE holder = '{gone}' OR holder IS NULL"
            await eventually(lambda: made.rows(free) == [["0"]], every_s=0.05, what="other owners")
            show(
                f"take-over of {owned} sessions after kill -9",
                f"{time.monotonic() - killed:.2f} s",
                f"< {TTL_S + 0.5} s",
            )
            after = made.epochs()
            moved = sum(after[session] - before[session] for session in before)
            show("sessions that moved", f"{moved}", f"{owned}")
            await made.even(1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    asyncio.run(measure(given.sessions, given.seconds))


if __name__ == "__main__":
    main()

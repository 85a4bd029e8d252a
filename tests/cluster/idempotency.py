"""The same Idempotency-Key at all replicas at once: `python -m tests.cluster.idempotency [--replicas 3] [--times 1000]`.

Each key must be one message, whichever replica accepts it first, and reach the phone once.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.lease import show
from tests.cluster.replicas import Cluster, cluster, postgresql_server
from tests.support.waiting import eventually

AT_ONCE = 8


async def same_keys(made: Cluster, sessions: list[str], times: int) -> tuple[int, int, int]:
    """Calls with the same key at all replicas: how many keys had several ids, how many calls failed, messages in the store."""
    slots = asyncio.Semaphore(AT_ONCE)
    several = failed = 0

    async def one(number: int) -> None:
        nonlocal several, failed
        session = sessions[number % len(sessions)]
        message = {"to": "4915112345678", "text": f"number {number}"}
        async with slots:
            answers = await asyncio.gather(
                *(
                    client.call(
                        "POST", f"/api/sessions/{session}/messages", message, **{"Idempotency-Key": f"key-{number}"}
                    )
                    for client in made.clients
                )
            )
        failed += sum(status not in (200, 202) for status, _ in answers)
        several += len({body["id"] for status, body in answers if status in (200, 202)}) > 1

    await asyncio.gather(*map(one, range(times)))
    stored = int(made.rows("SELECT count(*) FROM messages WHERE direction = 'out'")[0][0])
    return several, failed, stored


async def measure(replicas: int, times: int, sessions: int) -> None:
    with tempfile.TemporaryDirectory(prefix="veilleur-keys-") as folder, postgresql_server() as server:
        async with cluster(Path(folder), server, replicas, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0") as made:
            names = [f"phone-{number:03}" for number in range(sessions)]
            await made.pair(*names)
            await made.even(*range(replicas))
            began_s = time.monotonic()
            several, failed, stored = await same_keys(made, names, times)
            took_s = time.monotonic() - began_s
            queued = "SELECT count(*) FROM send_outbox"
            await eventually(lambda: made.rows(queued) == [["0"]], within_s=120.0, what="all of them sent")
            sent = int(made.rows("SELECT count(*) FROM messages WHERE direction = 'out' AND state <> 'queued'")[0][0])
    show(f"calls: {replicas} replicas x {times} keys", f"{took_s:.1f} s")
    show("messages stored; sent", f"{stored}; {sent}", f"{times}; {times}")
    show("keys with several messages; calls that failed", f"{several}; {failed}", "0; 0")
    if (stored, sent, several, failed) != (times, times, 0, 0):
        sys.exit("That does not hold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=6)
    given = parser.parse_args()
    asyncio.run(measure(given.replicas, given.times, given.sessions))


if __name__ == "__main__":
    main()

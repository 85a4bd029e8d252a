"""Faults of processes: a worker that dies, stands still or leaks, and the API process killed."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.of_sessions import READY, heals
from tests.faults.scene import Fault, Row, service
from tests.support.waiting import eventually


async def wedged(folder: Path) -> Row:
    """SIGSTOP: the worker is killed after 20 s of silence, its sessions come back in another one."""
    async with service(folder) as scene, scene.watched() as asked:
        workers, before = set(scene.program.worker_pids()), len(await scene.told())
        began = time.monotonic()
        await scene.simulate("wedgeWorker")

        async def replaced() -> bool:
            return not workers & set(scene.program.worker_pids())

        await eventually(replaced, every_s=0.2, what="the end of the wedged worker")

        async def back() -> bool:
            new = (await scene.told())[before:]
            # It was not READY in between, and is again.
            return any(change["to"] != "READY" for change in new) and new[-1]["to"] == "READY"

        await eventually(back, every_s=0.2, what="the session being READY again")
        took_s = time.monotonic() - began
        await scene.reaches("other", "READY")
        told = await scene.story(before)
    return Row(f"killed after 20 s of silence; {told}", took_s, "READY again", asked.told())


async def leaking(folder: Path) -> Row:
    """The worker is replaced at its limit of memory while messages arrive; none is lost, none comes twice."""
    async with service(folder, WORKER_MAX_RSS_MB="200") as scene, scene.watched() as asked:
        workers, before = set(scene.program.worker_pids()), len(await scene.told())
        told = await scene.simulate("message", count=1000, rate=15, text="n")
        began = time.monotonic()
        await scene.simulate("leak", megabytes=250)

        async def recycled() -> bool:
            return not workers & set(scene.program.worker_pids())

        # A worker is left alone in its first minute, so that a limit set too low does not become a loop.
        await eventually(recycled, within_s=90, every_s=0.2, what="the end of the leaking worker")
        took_s = time.monotonic() - began
        await scene.reaches("one", "READY")
        await scene.all_stored(told["messageIds"], within_s=90)
        changes = await scene.passes("one", after=before)
        assert "worker_lost" not in [reason for _, reason in changes], "recycled, not killed"
        changed = await scene.story(before)
        _, metrics = await scene.client.call("GET", "/metrics")
        assert 'veilleur_bot_worker_restarts_total{reason="memory"} 1.0' in metrics
    reaction = f"recycled at its limit once it is a minute old; {changed}; 1000 messages during it: 0 lost, 0 twice"
    return Row(reaction, took_s, "old worker gone", asked.told())


async def api_killed(folder: Path) -> Row:
    """SIGKILL of the API process: workers go on receiving, the next process takes them over as they are."""
    async with service(folder) as scene, scene.watched() as asked:
        workers = set(scene.program.worker_pids())
        told = await scene.simulate("message", count=500, rate=100, text="n")
        await eventually(scene.stored, what="the first messages")
        began = time.monotonic()
        scene.program.kill()
        scene.program.start()
        await scene.program.ready()
        answered_s = time.monotonic() - began
        await scene.reaches("one", "READY")
        await scene.reaches("other", "READY")
        took_s = time.monotonic() - began
        await scene.all_stored(told["messageIds"])
        assert set(scene.program.worker_pids()) == workers, "the workers lived on"
    reaction = (
        f"workers continue and are adopted; health answers after {answered_s:.1f} s; 500 messages during it: 0 lost"
    )
    return Row(reaction, took_s, "READY again", asked.told())


FAULTS = [
    heals("worker killed", "crashWorker", ("RECONNECTING", "worker_lost"), READY),
    Fault("worker wedged (SIGSTOP)", wedged, long=True),
    Fault("worker leaking 250 MB", leaking, long=True),
    Fault("API process killed", api_killed, long=True),
]

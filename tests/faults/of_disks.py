"""Faults of the disk: full, and a store that somebody else holds locked."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from tests.faults.scene import Fault, Row, Scene, service
from tests.support.disks import fill, forbid_growth, small_disk
from tests.support.waiting import eventually

DISK_BYTES = 24 * 2**20


async def _unhealthy(scene: Scene, *, reasons: set[str]) -> None:
    async def look() -> bool:
        status, answer = await scene.client.call("GET", "/health")
        return status == 503 and reasons <= set(answer["reasons"])

    await eventually(look, every_s=0.1, what=f"health naming {reasons}")


async def full(folder: Path) -> Row:
    """Nothing is acknowledged that cannot be kept; health names the reason, writes are refused with 503, reads go on."""
    disk = folder / "disk"
    with small_disk(disk, DISK_BYTES) as mounted:
        return await _full(folder, disk, mounted=mounted)


async def _full(folder: Path, disk: Path, *, mounted: bool) -> Row:
    async with (
        service(folder, DATA_DIR=str(disk / "data")) as scene,
        scene.watched() as asked,
    ):
        told = await scene.simulate("message", count=60, rate=6, text="x" * 3000)
        await eventually(scene.stored, what="the first messages")
        began = time.monotonic()
        restore = fill(disk) if mounted else forbid_growth(scene.program)
        try:
            await _unhealthy(scene, reasons={"journal"})
            noticed_s = time.monotonic() - began
            status, answer = await scene.client.call("POST", "/api/sessions", {"id": "new", "start": False})
            assert (status, answer["code"]) == (503, "store_unavailable"), answer
            await _unhealthy(scene, reasons={"journal", "store"})
            assert (await scene.client.get("/api/sessions/one"))["state"] == "READY", "reading goes on"
            await asked.again(10)  # the outage lasts while messages go on coming
            assert len(await scene.stored()) < 60
        finally:
            restore()
        freed = time.monotonic()
        await scene.well()
        recovered_s = time.monotonic() - freed
        await scene.all_stored(told["messageIds"])
    how = "a tmpfs without space" if mounted else "RLIMIT_FSIZE"
    reaction = (
        f"({how}) health 503 after {noticed_s:.1f} s, create answers 503 store_unavailable, reads go on; 200 again"
        f" {recovered_s:.1f} s after there is space; 60 messages during it: 0 lost, 0 twice"
    )
    return Row(reaction, noticed_s, "health 503", asked.told())


async def locked(folder: Path) -> Row:
    """Somebody else holds the store: messages wait in journals, changes in memory, and both are stored afterwards."""
    async with service(folder) as scene, scene.watched() as asked:
        lock = sqlite3.connect(scene.folder / "bot-data" / "bot.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        try:
            told = await scene.simulate("message", count=40, rate=10, text="n")
            await scene.simulate("drop", "other")
            await _unhealthy(scene, reasons={"store"})
            noticed_s = time.monotonic() - began
            assert await scene.stored() == []
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        freed = time.monotonic()
        await scene.well()
        recovered_s = time.monotonic() - freed
        await scene.all_stored(told["messageIds"])
        await scene.passes("other", ("RECONNECTING", "disconnected"), ("READY", "synced"))
    reaction = (
        f"health 503 store after {noticed_s:.1f} s (5 s are waited for the lock); 200 again {recovered_s:.1f} s after it"
        " is free; 40 messages during it: 0 lost, every transition stored"
    )
    return Row(reaction, noticed_s, "health 503", asked.told())


FAULTS = [Fault("disk full", full, long=True), Fault("store locked", locked, long=True)]

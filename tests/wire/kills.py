"""Kill an engine worker with -9 again and again while messages arrive, and count what never reaches the journal."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bot_service.domain.message import InboundMessage, OutgoingMessage
from tests.fake_whatsapp.remote import Remote
from tests.wire.worker_driver import WorkerDriver

SENDER = "15550002"
GROUP = "120363@g.us"
SETTLE_S = 180.0
_NAMED = re.compile(r'"event":"message\.lost".*"message_id":"(\w+)"')


@dataclass
class Loss:
    """What a series of kills cost. ``acknowledged`` were lost although the server had a receipt: that must never be."""

    kills: int = 0
    sent: int = 0
    lost: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    acknowledged_early: int = 0
    repeated: int = 0
    named: list[str] = field(default_factory=list)
    unreadable: int = 0
    seconds: float = 0.0

    @property
    def unnamed(self) -> list[str]:
        """Lost, and the log does not say so: that must never be either."""
        return [message_id for message_id in self.lost if message_id not in self.named]

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.sent} messages: {len(self.lost)} lost, {len(self.acknowledged)} of them acknowledged, "
            f"{self.acknowledged_early} receipts before the journal, {self.repeated} journalled twice, {len(self.named)} named as lost, {len(self.unnamed)} lost without a name, "
            f"{self.unreadable} unreadable replies, {self.seconds:.0f} s"
        )


async def measure(
    server: Remote,
    data_dir: Path,
    *,
    sessions: int,
    per_second: float,
    messages: int = 1000,
    kills: int = 5,
    grouped: bool = False,
    replying: bool = False,
    end: int = signal.SIGKILL,
    chance: random.Random,
    make: Callable[[Path, Remote], WorkerDriver] = WorkerDriver,
) -> Loss:
    """One flood of ``messages`` over all sessions with ``kills`` kills in it. ``replying``: the sessions send at the same time."""
    begun = time.monotonic()
    names = {f"s{index}": f"155510{index:02}" for index in range(sessions)}
    worker = make(data_dir, server)
    await worker.start()
    jids = {name: await worker.pair(name, number) for name, number in names.items()}
    await worker.end()
    chats = list(names.values())
    if grouped:
        await server("group", id=GROUP.partition("@")[0], subject="All", members=[SENDER, *names.values()])
        chats = [GROUP]
    loss = Loss()
    ids: list[str] = []
    for _ in range(kills):
        worker = await _fresh(make(data_dir, server), jids)
        if not ids or not await server("flooding"):
            ids += await server("flood", sender=SENDER, chats=chats, count=messages // sessions, per_second=per_second)
        talk = asyncio.create_task(_talk(worker, list(jids))) if replying else None
        await asyncio.sleep(chance.uniform(0.02, 0.8))
        marks_before = await server("phone", number=SENDER)
        await worker.end(end)
        loss.kills += 1
        if talk is not None:
            talk.cancel()
        # What the phone knows of as delivered must be in the journal already; asked before the kill, so nothing can have come since.
        journalled = _ids(worker)
        loss.acknowledged_early += sum(
            1 for mark, kinds in marks_before["marks"].items() if "delivered" in kinds and mark not in journalled
        )
    worker = await _fresh(make(data_dir, server), jids)
    await _settle(server, worker)
    await worker.end()
    per_id = 1 if not grouped else sessions
    counted = Counter(message.id for message in worker.records() if isinstance(message, InboundMessage))
    seen = {(message.session, message.id) for message in worker.messages()}
    marks = (await server("phone", number=SENDER))["marks"]
    loss.sent = len(ids) * per_id
    for message_id in ids:
        missing = per_id - sum(1 for session in jids if (session, message_id) in seen)
        loss.lost += [message_id] * missing
        if missing and len([kind for kind in marks.get(message_id, []) if kind == "delivered"]) > per_id - missing:
            loss.acknowledged.append(message_id)
        loss.repeated += counted[message_id] - (per_id - missing)
    log = (data_dir / "workers.log").read_text(errors="replace")
    loss.named = _NAMED.findall(log)
    loss.unreadable = len((await server("phone", number=SENDER))["unreadable"])
    loss.seconds = time.monotonic() - begun
    return loss


async def _fresh(worker: WorkerDriver, jids: dict[str, str]) -> WorkerDriver:
    await worker.start()
    await asyncio.gather(*(worker.begin(name, jid) for name, jid in jids.items()))
    return worker


async def _talk(worker: WorkerDriver, names: list[str]) -> None:
    number = 0
    while True:
        for name in names:
            message = OutgoingMessage(id=f"{worker.id}-{number}", to=SENDER, type="text", text=f"reply {number}")
            await asyncio.gather(worker.send(name, message), return_exceptions=True)
            number += 1


async def _settle(server: Remote, worker: WorkerDriver) -> None:
    """Wait until the flood is over, nothing is owed and nothing more comes. Raises ``TimeoutError``: what is owed then is not lost."""
    until = time.monotonic() + SETTLE_S
    last, since, stats = -1, time.monotonic(), {"owed": -1}
    while time.monotonic() < until:
        stats = await server("stats")
        count = len(worker.messages())
        if count != last or stats["owed"] or await server("flooding"):
            last, since = count, time.monotonic()
        elif time.monotonic() - since > 1.0:
            return
        await asyncio.sleep(0.25)
    raise TimeoutError(f"{stats['owed']} stanzas are owed after {SETTLE_S:.0f} s")


def _ids(worker: WorkerDriver) -> set[str]:
    return {message.id for message in worker.messages()}

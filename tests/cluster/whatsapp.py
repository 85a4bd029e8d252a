"""Replicas with the real engine, whose phones are at the fake WhatsApp server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.cluster.replicas import Cluster
from tests.fake_whatsapp.remote import Remote
from tests.support.postgresql import PostgreSQL
from tests.support.waiting import eventually
from tests.wire import programs

ANN = "15550002"


def number_of(session: str) -> str:
    """The telephone number of ``phone-012``."""
    return f"15551{int(session.rpartition('-')[2]):04}"


class WhatsApp(Cluster):
    """``phones_at`` is the server of all phones."""

    def __init__(self, tmp_path: Path, server: PostgreSQL, phones_at: Remote, **env: str) -> None:
        super().__init__(
            tmp_path, server, **programs.settings(phones_at), DEVICE_STORE_ASYNC="accept", LOG_LEVEL="debug", **env
        )
        self.phones_at = phones_at

    async def pair(self, *sessions: str) -> None:
        """New sessions, made at all replicas in turn, four at a time, and READY."""
        slots = asyncio.Semaphore(4)

        async def one(number: int, session: str) -> None:
            async with slots:
                client = self.clients[number % len(self.clients)]
                await programs.pair(client, self.phones_at, session, number_of(session))

        await asyncio.gather(*(one(number, session) for number, session in enumerate(sessions)))
        await self.ready(0, len(sessions))

    async def ready(self, number: int, count: int, *, within_s: float = 60.0) -> None:
        async def look() -> bool:
            return await self.ready_at(number) == count

        await eventually(look, within_s=within_s, every_s=0.05, what=f"{count} READY sessions")

    async def ready_at(self, number: int) -> int:
        """How many sessions are READY, as replica ``number`` sees it."""
        _, health = await self.clients[number].call("GET", "/health")
        return int(health.get("sessions", {}).get("ready", 0)) if isinstance(health, dict) else 0

    def family(self, number: int) -> list[int]:
        """The processes of a replica: its service and its workers."""
        return [self.programs[number].pid, *self.programs[number].worker_pids()]

    def end(self, number: int) -> None:
        """As if the machine was gone: the service and its workers, at once."""
        workers = self.programs[number].worker_pids()
        self.programs[number].kill()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def lose_disk(self, number: int) -> None:
        """Its machine is gone for good: the next start finds an empty folder."""
        folder = Path(self.programs[number].env["DATA_DIR"])
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)

    # --- what arrived ---

    def stored(self) -> set[tuple[str, str]]:
        """The messages that arrived and are in PostgreSQL: session and id."""
        return {(row[0], row[1]) for row in self.rows("SELECT session, message_id FROM messages WHERE direction = 'in'")
                if len(row) == 2}  # fmt: skip

    def waiting(self) -> set[str]:
        """Sessions that have rows in the journal, which no owner has stored yet."""
        return {row[0] for row in self.rows("SELECT DISTINCT session FROM journal_rows") if row[0]}

    def heard(self, what: str) -> int:
        """In how many lines of all logs ``what`` is."""
        return sum(program.output().count(what) for program in self.programs)

    async def stats(self) -> Any:
        return await self.phones_at("stats")


@contextlib.asynccontextmanager
async def whatsapp(
    tmp_path: Path, server: PostgreSQL, phones_at: Remote, count: int = 3, **env: str
) -> AsyncIterator[WhatsApp]:
    """``count`` replicas that all answer."""
    made = WhatsApp(tmp_path, server, phones_at, **env)
    try:
        await made.add(count)
        yield made
    finally:
        await made.close()

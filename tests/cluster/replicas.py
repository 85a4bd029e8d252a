"""Several real bot services on one real PostgreSQL. The simulated phones are in a folder that all of them see."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tests.support.postgresql import PostgreSQL
from tests.support.processes import Client, Program, bot, free_port
from tests.support.waiting import PATIENCE_S, eventually

OPTIONS = "auto_pair_ms=50,record_links=1"


class Cluster:
    """Replicas by number. ``server`` is theirs alone: a test may restart it."""

    def __init__(self, tmp_path: Path, server: PostgreSQL, **env: str) -> None:
        self._tmp_path, self._env = tmp_path, env
        self.server = server
        server.sql("CREATE DATABASE cluster")
        self.phones = tmp_path / "phones"
        self.phones.mkdir(mode=0o700)
        self.programs: list[Program] = []
        self.clients: list[Client] = []

    async def add(self, count: int = 1, **env: str) -> None:
        """Start more replicas, all at the same time; ``env`` is what they have in addition."""
        added = [self._start(env) for _ in range(count)]
        await asyncio.gather(*(program.ready() for program in added))

    def _start(self, env: dict[str, str]) -> Program:
        number, port = len(self.programs), free_port()
        program = bot(
            self._tmp_path,
            port=port,
            name=f"bot{number}",
            **{
                "DATABASE_URL": self.server.url("cluster"),
                "POSTGRESQL_PREVIEW": "true",
                "REPLICA_URL": f"http://127.0.0.1:{port}",
                "SIMULATOR_OPTIONS": OPTIONS,
                **self._env,
                **env,
            },
        )
        data_dir = Path(program.env["DATA_DIR"])
        data_dir.mkdir(mode=0o700, parents=True)
        (data_dir / "simulator").symlink_to(self.phones)
        self.programs.append(program)
        self.clients.append(Client(program.url))
        program.start()
        return program

    async def close(self) -> None:
        for client in self.clients:
            await client.__aexit__()
        for program in self.programs:
            with contextlib.suppress(ProcessLookupError, AssertionError):
                os.kill(program.pid, signal.SIGCONT)
        await asyncio.gather(*(asyncio.to_thread(program.close) for program in self.programs))

    # --- what the tables say ---

    def rows(self, statement: str) -> list[list[str]]:
        out = self.server.sql(statement, "cluster")
        return [line.split("|") for line in out.splitlines()]

    def replica_of(self) -> dict[str, int | None]:
        """Which replica owns each session; None: none does."""
        urls = {program.url: number for number, program in enumerate(self.programs)}
        found = self.rows(
            "SELECT s.id, coalesce(r.url, '') FROM sessions s LEFT JOIN leases l ON l.id = s.id"
            " LEFT JOIN replicas r ON r.id = l.holder"
        )
        return {session: urls.get(url) for session, url in found}

    def epochs(self) -> dict[str, int]:
        return {
            session: int(epoch) for session, epoch in self.rows("SELECT id, epoch FROM leases JOIN sessions USING (id)")
        }

    def shares(self) -> dict[int | None, int]:
        """How many sessions each replica owns."""
        return dict(Counter(self.replica_of().values()))

    async def even(self, *numbers: int) -> None:
        """Wait until just these replicas own all sessions, in fair shares."""

        def look() -> bool:
            shares = self.shares()
            owned = [shares.get(number, 0) for number in numbers]
            return sum(owned) == sum(shares.values()) and max(owned) - min(owned) <= 1

        await eventually(look, every_s=0.1, what=f"fair shares of replicas {numbers}")

    # --- sessions ---

    async def pair(self, *sessions: str) -> None:
        """New sessions, made at all replicas in turn, paired by themselves, and READY."""
        for number, session in enumerate(sessions):
            await self.clients[number % len(self.clients)].post("/api/sessions", {"id": session})
        await self.ready(0, len(sessions))

    async def ready(self, number: int, count: int, *, within_s: float = PATIENCE_S) -> None:
        """Wait until ``count`` sessions are logged in once each, and READY as replica ``number`` sees it."""

        async def look() -> bool:
            clients = [len(pids) for pids in self.logged_in().values()]
            _, health = await self.clients[number].call("GET", "/health")
            ready = health.get("sessions", {}).get("ready") if isinstance(health, dict) else None
            return clients == [1] * count and ready == count

        await eventually(look, within_s=within_s, every_s=0.05, what=f"{count} READY sessions")

    def logged_in(self) -> dict[str, set[int]]:
        """The processes that live, are not stopped, and have the phone of a session at this moment."""
        found: dict[str, set[int]] = {}
        for session, pid, what, _ in self._links():
            members = found.setdefault(session, set())
            members.add(pid) if what == "begin" else members.discard(pid)
        return {session: {pid for pid in pids if _runs(pid)} for session, pids in found.items()}

    def offline_s(self) -> dict[str, float]:
        """How long each phone had no client between its last two."""
        ends: dict[str, float] = {}
        found: dict[str, float] = {}
        for session, _, what, at_s in self._links():
            if what == "end":
                ends[session] = at_s
            elif session in ends:
                found[session] = at_s - ends[session]
        return found

    def logins_s(self) -> dict[str, float]:
        """When the newest client of each phone logged in, in monotonic seconds."""
        return {session: at_s for session, _, what, at_s in self._links() if what == "begin"}

    def _links(self) -> list[tuple[str, int, str, float]]:
        links = self.phones / "links"
        lines = [line.split() for line in links.read_text().splitlines()] if links.exists() else []
        return [(line[0], int(line[1]), line[2], float(line[3])) for line in lines if len(line) == 4]

    @contextlib.asynccontextmanager
    async def one_client_each(self) -> AsyncIterator[None]:
        """In the block no phone ever has two clients. Looks all the time."""
        twice: set[str] = set()

        async def watch() -> None:
            while True:
                seen = {session for session, pids in self.logged_in().items() if len(pids) > 1}
                if seen:  # a line may be read before the one that ends it is written
                    await asyncio.sleep(0.02)
                    seen &= {session for session, pids in self.logged_in().items() if len(pids) > 1}
                twice.update(seen)
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        assert twice == set(), f"two clients of one account: {twice}"


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZXT"
    except OSError:
        return False


@contextlib.contextmanager
def postgresql_server() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    try:
        yield server
    finally:
        server.close()


@contextlib.asynccontextmanager
async def cluster(tmp_path: Path, server: PostgreSQL, count: int = 3, **env: str) -> AsyncIterator[Cluster]:
    """``count`` replicas that all answer."""
    made = Cluster(tmp_path, server, **env)
    try:
        await made.add(count)
        yield made
    finally:
        await made.close()

"""One running service with two sessions, somebody who keeps asking it how it is, and the row that a fault leaves behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.processes import Client, Program, bot
from tests.support.sessions import reaches
from tests.support.waiting import PATIENCE_S, eventually

# Probes every 3 s instead of 2 minutes, so that silence is noticed while somebody waits for it.
FAST = {
    "RECEIVE_PROBE": "self",
    "RECEIVE_PROBE_INTERVAL": "3000",
    "RECEIVE_PROBE_TIMEOUT": "2000",
    "SIMULATOR_OPTIONS": "auto_pair_ms=50,reconnect_ms=300,frame_ms=1000",
    "WEBHOOK_ALLOW_PRIVATE": "true",
}
ASK_EVERY_S = 0.1


@dataclass(frozen=True)
class Row:
    """What is told of one fault. ``took_s``: from the fault to what ``until`` says."""

    reaction: str
    took_s: float | None
    until: str
    answers: str


@dataclass(frozen=True)
class Fault:
    """``run(folder)`` brings the fault about, asserts what must follow, and tells it. ``long``: ten seconds or more."""

    name: str
    run: Callable[[Path], Awaitable[Row]]
    long: bool = False


@dataclass
class Asked:
    """What ``/health`` and the session ``one`` answered, run after run; latencies of ``/health`` in seconds."""

    health: list[str] = field(default_factory=list)
    session: list[str] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    rounds: int = 0

    async def again(self, rounds: int) -> None:
        """Wait for so many more questions and their answers."""
        until = self.rounds + rounds
        await eventually(lambda: self.rounds >= until, what=f"{rounds} more answers")

    def told(self) -> str:
        slowest = f", {len(self.took_s)} asked, slowest {max(self.took_s) * 1000:.0f} ms" if self.took_s else ""
        session = f"; session {' → '.join(self.session)}" if self.session else ""
        return f"health {' → '.join(self.health)}{slowest}{session}"


def _note(seen: list[str], what: str) -> None:
    if not seen or seen[-1] != what:
        seen.append(what)


@dataclass
class Scene:
    """A service whose sessions ``one`` and ``other`` are READY."""

    folder: Path
    program: Program
    client: Client
    asked: Asked = field(default_factory=Asked)

    async def told(self, session: str = "one") -> list[dict[str, Any]]:
        """Transitions, oldest first."""
        return list(reversed((await self.client.get(f"/api/sessions/{session}/transitions"))["transitions"]))

    async def reaches(self, session: str, state: str, within_s: float = PATIENCE_S) -> dict[str, Any]:
        return await reaches(self.client, session, state, within_s=within_s)

    async def passes(
        self, session: str, *wanted: tuple[str, str], after: int = 0, within_s: float = PATIENCE_S
    ) -> list[tuple[str, str]]:
        """The (state, reason) pairs told beyond the first ``after``, once they hold ``wanted`` in this order."""
        new: list[tuple[str, str]] = []

        async def look() -> bool:
            new[:] = [(change["to"], change["reason"]) for change in (await self.told(session))[after:]]
            left = list(wanted)
            for pair in new:
                if left and pair == left[0]:
                    left.pop(0)
            return not left

        await eventually(look, within_s=within_s, every_s=0.05, what=f"{session} passing {wanted}, told {new}")
        return new

    async def story(self, after: int) -> str:
        """The transitions of ``one`` beyond the first ``after`` in words; SYNCING, which lasts a moment, is left out."""

        def words(change: dict[str, Any]) -> str:
            acts = "" if change["acts"] == "nobody" else f", acts: {change['acts']}"
            return f"{change['to']} ({change['reason']}{acts})"

        return " → ".join(words(change) for change in (await self.told())[after:] if change["to"] != "SYNCING")

    async def simulate(self, action: str, session: str = "one", **args: Any) -> Any:
        """What the action gave; nothing when the worker died of it."""
        status, answer = await self.client.call("POST", f"/api/sessions/{session}/simulate", {"action": action, **args})
        assert status in (200, 409, 502, 504), answer
        return answer.get("result") if status == 200 else None

    async def stored(self, session: str = "one") -> list[str]:
        """Ids of the inbound messages in the store, oldest first."""
        found: list[str] = []
        before = ""
        while True:
            page = await self.client.get(f"/api/sessions/{session}/messages?direction=in&limit=500{before}")
            found += [row["id"] for row in page["messages"]]
            if page["next"] is None:
                return found[::-1]
            before = f"&before={page['next']}"

    async def all_stored(self, wanted: list[str], within_s: float = PATIENCE_S) -> None:
        """Until the store holds exactly ``wanted``, each once."""

        async def look() -> bool:
            return set(await self.stored()) >= set(wanted)

        await eventually(look, within_s=within_s, every_s=0.25, what="every message in the store")
        assert sorted(await self.stored()) == sorted(wanted)

    async def well(self, within_s: float = PATIENCE_S) -> None:
        """Until ``/health`` answers 200."""

        async def look() -> bool:
            try:
                return (await self.client.call("GET", "/health"))[0] == 200
            except aiohttp.ClientError:
                return False

        await eventually(look, within_s=within_s, every_s=0.05, what="health answering 200")

    def probes_missed(self, session: str) -> int:
        """How many receive probes of ``session`` did not come back so far."""
        return sum(
            one.get("event") == "probe.missed" and one.get("session") == session for one in self.program.events()
        )

    @asynccontextmanager
    async def watched(self, *, session: bool = True) -> AsyncIterator[Asked]:
        """Somebody asks all the while; ``/health`` must say 200 in the end."""
        asked = self.asked = Asked()
        task = asyncio.create_task(self._ask(asked, session))
        try:
            yield asked
            await self.well()
            await asked.again(2)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert asked.health[-1] == "200", asked.health

    async def _ask(self, asked: Asked, session: bool) -> None:
        async with Client(self.program.url) as client:
            while True:
                began = time.perf_counter()
                try:
                    status, answer = await client.call("GET", "/health")
                except aiohttp.ClientError:
                    _note(asked.health, "no answer")
                else:
                    asked.took_s.append(time.perf_counter() - began)
                    _note(asked.health, str(status) if status == 200 else f"{status} {', '.join(answer['reasons'])}")
                    if session:
                        _, view = await client.call("GET", "/api/sessions/one")
                        if "state" in view:
                            _note(asked.session, view["state"])
                asked.rounds += 1
                await asyncio.sleep(ASK_EVERY_S)


@asynccontextmanager
async def service(folder: Path, *more: str, **env: str) -> AsyncIterator[Scene]:
    """The service, with the sessions ``one``, ``other`` and ``more`` READY."""
    settings: dict[str, Any] = FAST | env
    program = bot(folder, **settings)
    program.start()
    try:
        await program.ready()
        async with Client(program.url) as client:
            scene = Scene(folder, program, client)
            for session in ("one", "other", *more):
                await client.post("/api/sessions", {"id": session})
                await scene.reaches(session, "READY")
            yield scene
    finally:
        program.close()

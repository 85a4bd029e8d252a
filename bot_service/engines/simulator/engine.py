"""The simulator as an engine: sessions by name, and their shared timers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from bot_service.domain.directory import Question
from bot_service.domain.message import OutgoingMessage, Sent
from bot_service.engines.arrived_files import ArrivedFiles, FolderFiles
from bot_service.engines.port import EngineError, EngineSink
from bot_service.engines.simulator import actions, directory, handover, sending
from bot_service.engines.simulator.options import SimulatorOptions
from bot_service.engines.simulator.pairing import begin as begin_pairing
from bot_service.engines.simulator.pairing import pairing_code as show_pairing_code
from bot_service.engines.simulator.session import Link, SimulatedSession
from bot_service.engines.simulator.store import Files, Held
from bot_service.engines.simulator.timers import Timers
from bot_service.engines.simulator.world import World
from shared.clock import Clock, SystemClock

FRAME_SLOTS = 20
TYPING_STATES = ("composing", "recording", "paused")


class SimulatorEngine:
    """``data_dir/simulator`` holds the state of the simulated world."""

    def __init__(
        self,
        sink: EngineSink,
        *,
        data_dir: Path,
        options: dict[str, str],
        clock: Clock | None = None,
        files: ArrivedFiles | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.world = World(
            sink,
            clock,
            Timers(clock, asyncio.get_running_loop()),
            SimulatorOptions.read(options),
            Files(data_dir / "simulator"),
            files or FolderFiles(data_dir / "media"),
        )
        self.sessions: dict[str, SimulatedSession] = {}
        # Sessions share slots, and one slot after the other gets a frame: no timer per session.
        self._slots: list[dict[str, SimulatedSession]] = [{} for _ in range(FRAME_SLOTS)]
        self._slot_of: dict[str, int] = {}
        self._next_slot = 0
        self._started = 0
        self._tick()
        self._fetch_letters()

    async def start(
        self,
        session: str,
        *,
        jid: str | None,
        proxy: str | None,
        pairing: bool,
        canary: bool = False,
        epoch: int | None = None,
    ) -> None:
        simulated = SimulatedSession(self.world, session)
        self.sessions[session] = simulated
        self._slot_of[session] = slot = self._started % FRAME_SLOTS
        self._slots[slot][session] = simulated
        self._started += 1
        if jid is not None:
            if simulated.phone.jid != jid:
                # Paired elsewhere, or its files are gone: the server does not know this device.
                simulated.phone.linked = False
            simulated.connect()
        elif pairing:
            begin_pairing(simulated)
        else:
            self._drop(session)
            raise EngineError("invalid", "a session without an account can only be paired")

    async def stop(self, session: str) -> None:
        self._drop(session)

    async def logout(self, session: str) -> None:
        simulated = self._session(session)
        if simulated.link is not Link.ONLINE:
            raise EngineError("not_connected", "the phone can be unlinked only while connected", retryable=True)
        simulated.phone.jid = simulated.phone.lid = None
        simulated.phone.linked = False
        self.world.files.save_phone(session, simulated.phone)
        self._drop(session)

    async def pairing_code(self, session: str, phone: str) -> str:
        return show_pairing_code(self._session(session), phone)

    async def send(self, session: str, message: OutgoingMessage) -> Sent:
        return await sending.send(self._session(session), message)

    async def mark_read(self, session: str, chat: str, sender: str, message_ids: list[str]) -> None:
        simulated = self._session(session)
        simulated.require_online()
        simulated.marks.append({"chat": chat, "sender": sender, "messageIds": message_ids})
        del simulated.marks[:-100]

    async def typing(self, session: str, chat: str, state: str) -> None:
        if state not in TYPING_STATES:
            raise EngineError("invalid", f"the state is one of {', '.join(TYPING_STATES)}")
        simulated = self._session(session)
        simulated.require_online()
        simulated.typing_state = state

    async def ask(self, session: str, question: Question) -> Any:
        return directory.answer(self._session(session), question)

    async def simulate(self, session: str | None, action: str, args: dict[str, Any]) -> Any:
        return actions.run(self.world, self.sessions.get(session) if session else None, action, args)

    async def close(self) -> None:
        for session in list(self.sessions):
            self._drop(session)
        self.world.timers.close()
        self.world.files.close()

    def _session(self, session: str) -> SimulatedSession:
        found = self.sessions.get(session)
        if found is None:
            raise EngineError("not_started", "the session is not started", retryable=True)
        return found

    def _drop(self, session: str) -> None:
        found = self.sessions.pop(session, None)
        if found is not None:
            self._slots[self._slot_of.pop(session)].pop(session, None)
            found.stop()

    def _tick(self) -> None:
        for name, simulated in self._slots[self._next_slot].items():
            if simulated.link in (Link.ONLINE, Link.PAIRING) and not simulated.keepalive_dead:
                self.world.sink.frame_seen(name)
        self._next_slot = (self._next_slot + 1) % FRAME_SLOTS
        self.world.timers.after(self.world.options.frame_ms / 1000 / FRAME_SLOTS, self._tick)

    def _fetch_letters(self) -> None:
        for receiver, path in self.world.files.letters():
            simulated = self.sessions.get(receiver)
            if simulated is not None:
                handover.hold(simulated, [msgspec.msgpack.decode(path.read_bytes(), type=Held)])
                path.unlink(missing_ok=True)
        self.world.timers.after(self.world.options.post_ms / 1000, self._fetch_letters)

"""All engine workers as one engine: every wanted session runs in exactly one worker, whatever dies.

Subscribe to ``signals`` and ``journals``, then :meth:`WorkerPool.open` it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bot_service.domain.directory import Question
from bot_service.domain.message import OutgoingMessage, Sent
from bot_service.domain.questions import answer_type
from bot_service.domain.session_record import Signal
from bot_service.domain.signals import SignalKind
from bot_service.engines.pool.fleet import SUPERSEDED, UNLEASED, Fleet
from bot_service.engines.pool.placement import Placement
from bot_service.engines.pool.policy import ClientChoice, PoolPolicy
from bot_service.engines.pool.recovery import ASKED, SessionRecovery
from bot_service.engines.pool.session_entries import FINAL, SessionEntry, catch_up_signals
from bot_service.engines.pool.worker_handle import WorkerHandle
from bot_service.engines.port import EngineError
from bot_service.engines.registry import files_of, names_with_files, safe_name
from bot_service.engines.wire import login_gate
from bot_service.engines.wire.protocol import PASSING, SessionSnapshot, SignalFrame, Snapshot, WorkerPulse
from shared import logs
from shared.clock import Clock, to_ms
from shared.hooks import Hook
from shared.tasks import spawn

log = logs.get(__name__)

# Signals that prove that a frame came from the server.
FRAME_SIGNALS = frozenset(
    {SignalKind.CONNECTED, SignalKind.KEEPALIVE_RESTORED, SignalKind.OFFLINE_SYNC_COMPLETED, SignalKind.RECEIPT}
)
# How much longer a worker may take that is replaced because it does not stop a session.
UNSTOPPED_S = 10.0
# Ends of a worker that are not its fault.
ORDERLY = frozenset({"stopped", ASKED, "memory", "descriptors", "paired", SUPERSEDED, UNLEASED})


class WorkerPool:
    """Implements :class:`bot_service.domain.ports.EnginePool` over worker processes."""

    def __init__(self, policy: PoolPolicy, clock: Clock, *, chance: random.Random | None = None) -> None:
        self._policy, self._clock = policy, clock
        self.signals: Hook[[str, int, Signal]] = Hook()
        self.journals: Hook[[str, int]] = Hook()
        self.journal_rows: Hook[[]] = Hook()
        self._frames: dict[str, tuple[float | None, float | None]] = {}
        chance = chance or random.Random()  # noqa: S311
        self.fleet = Fleet(policy, clock, self, self.journals, recycle=self._begin_recycle, chance=chance)
        self._placement = Placement(policy, self.fleet, first_incarnation=to_ms(clock.now()))
        self._recovery = SessionRecovery(policy, clock, self.fleet, self._placement, self._emit)
        self._watch: asyncio.Task[None] | None = None
        # Names of sessions with files of the engine when this process began, and of deleted ones.
        self._left_files: set[str] = set()

    async def open(self) -> None:
        """Adopts left workers, reports every journal on disk, and watches the workers."""
        self._left_files = await asyncio.to_thread(names_with_files, self._policy.engine, self._policy.data_dir)
        await self.fleet.adopt()
        login_gate.remove_unused(self._policy.run_dir, self.builds_in_use() | self.fleet.refused)
        for name, size in self.fleet.journals():
            self.journals(name, size)
        self._watch = asyncio.create_task(self.fleet.watch(), name="engines.watch")

    async def close(self, *, leave_workers: bool = False) -> None:
        """Closes the sessions and ends every worker, or leaves them for the next process."""
        self._placement.closing = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self.fleet.close(leave_workers=leave_workers)

    def watching(self) -> bool:
        """False when the loop that watches the workers has died."""
        return self._watch is not None and not self._watch.done()

    def journalling(self) -> bool:
        """False when a worker cannot journal: messages for it wait at the server."""
        return not any(
            worker.pulse is not None and worker.pulse.journal_failing for worker in self.fleet.workers.values()
        )

    # --- SessionLifecycle, SessionAccounts, MessageSending ---

    async def start_session(
        self, session: str, *, jid: str | None, proxy: str | None, creation: str = "", canary: bool = False
    ) -> int:
        entry = self._placement.entry(session)
        async with entry.lock:
            # A client of a deleted session with the same id is not this session's: it is stopped.
            if entry.unclaimed is not None and entry.unclaimed.creation == creation:
                return self._claim(entry, entry.unclaimed, jid, proxy)
            if entry.wanted:
                await self._stop(entry, quietly=True)
            entry.jid, entry.proxy, entry.creation = jid, proxy, creation
            await self._placement.start(entry, self._placement.choose(entry, canary=canary), canary=canary)
            return entry.incarnation

    async def stop_session(self, session: str) -> None:
        entry = self._placement.entries.get(session)
        if entry is not None:
            async with entry.lock:
                await self._stop(entry, quietly=False)

    async def end_client(self, session: str) -> None:
        await self.stop_session(session)
        entry = self._placement.entries.get(session)
        if entry is None:
            return
        # Its worker says so itself: the answer to the first stop may have been lost with the connection.
        last = self.fleet.workers.get(entry.last_worker or "")
        if last is not None and last is not entry.unstopped and not last.is_lost:
            try:
                await last.command("stop", session)
            except EngineError:
                entry.unstopped = last
        if entry.unstopped is not None and not await entry.unstopped.gone(self._policy.stop_timeout_s + UNSTOPPED_S):
            raise EngineError("timeout", "the client of the session has not ended yet", retryable=True)

    async def logout_session(self, session: str) -> None:
        entry = self._placement.running(session)
        async with entry.lock:
            await self._placement.worker_of(session).command("logout", session)
            self._placement.remove(entry)
            entry.jid = None

    async def pairing_code(self, session: str, phone: str) -> str:
        return str(await self._command(session, "pairing_code", {"phone": phone}))

    async def send(self, session: str, message: OutgoingMessage) -> Sent:
        return msgspec.convert(await self._command(session, "send", {"message": msgspec.to_builtins(message)}), Sent)

    async def mark_read(self, session: str, chat: str, sender: str, message_ids: list[str]) -> None:
        await self._command(session, "mark_read", {"chat": chat, "sender": sender, "messageIds": message_ids})

    async def typing(self, session: str, chat: str, state: str) -> None:
        await self._command(session, "typing", {"chat": chat, "state": state})

    async def ask(self, session: str, question: Question) -> Any:
        answer = await self._command(session, "ask", {"question": msgspec.to_builtins(question)})
        return msgspec.convert(answer, answer_type(question))

    async def simulate(self, session: str, action: str, args: dict[str, Any]) -> Any:
        return await self._command(session, "simulate", {**args, "action": action})

    async def recycle_worker_of(self, session: str) -> None:
        entry = self._placement.running(session)
        if not entry.is_between:  # on its way into another worker already
            await self._recovery.recycle(self._placement.worker_of(session), ASKED)

    def may_recycle_worker_of(self, session: str) -> bool:
        entry = self._placement.entries.get(session)
        return entry is None or entry.is_between or self._recovery.may_recycle(self._placement.worker_of(session))

    async def move_session(self, session: str) -> None:
        entry = self._placement.entry(session)
        entry.avoid = entry.last_worker

    async def forget_session(self, session: str) -> None:
        # Until they are deleted, a session with the same id must wait for that.
        self._left_files.add(safe_name(session))
        await self.stop_session(session)
        self._frames.pop(session, None)
        self._placement.entries.pop(session, None)

        def delete() -> None:
            for path in list(files_of(self._policy.engine, self._policy.data_dir, session)):
                path.unlink(missing_ok=True)

        await asyncio.to_thread(delete)
        self._left_files.discard(safe_name(session))

    async def forget_left_files(self, session: str) -> None:
        if session in self._placement.entries or safe_name(session) in self._left_files:
            await self.forget_session(session)

    async def stop_unclaimed(self) -> None:
        for entry in list(self._placement.entries.values()):
            if entry.unclaimed is not None:
                async with entry.lock:
                    if entry.unclaimed is not None:
                        await self._stop(entry, quietly=True)

    # --- LeasedPool ---

    def own_until(self, until_s: float) -> None:
        self.fleet.own_until(until_s)

    def use_epochs(self, epochs: Mapping[str, int]) -> None:
        self._placement.epochs = epochs

    async def abandon(self) -> None:
        for entry in self._placement.entries.values():
            entry.place(None)
            entry.wanted, entry.moving, entry.unclaimed = False, False, None
        await self.fleet.abandon()

    # --- ClientVersionPool ---

    def announce(self, build: int, library: Path | None) -> None:
        self.fleet.client = ClientChoice(build, library)

    def refuse(self, builds: frozenset[int]) -> None:
        self.fleet.refused = builds
        self._policy.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        login_gate.close_for(self._policy.run_dir, builds)

    def allow_one_login(self, build: int) -> None:
        login_gate.LoginGate(self._policy.run_dir, build, self._clock).attempt().allow_one_more()

    def build_of(self, session: str) -> int | None:
        entry = self._placement.entries.get(session)
        worker = entry.worker if entry is not None else None
        return worker.client_build or None if worker is not None else None

    def builds_in_use(self) -> frozenset[int]:
        return frozenset(worker.client_build for worker in self.fleet.workers.values())

    def copies_failed(self) -> bool:
        return any(worker.ready and not worker.announces_as_ordered for worker in self.fleet.workers.values())

    def journals_in_use(self) -> set[str]:
        return self.fleet.journals_in_use()

    def frame_ages_ms(self, session: str) -> tuple[int | None, int | None]:
        now = self._clock.monotonic()
        frame, inbound = self._frames.get(session, (None, None))
        return _age_ms(frame, now), _age_ms(inbound, now)

    def _emit(self, entry: SessionEntry, kind: str, data: dict[str, Any]) -> None:
        """Reports a signal of the session's present incarnation."""
        if self._placement.closing:
            return  # what the end of the service does to sessions is no change of them
        try:
            signal = Signal(SignalKind(kind), data)
        except ValueError:
            log.warning("An engine gave an unknown signal", event_name="engine.unknown_signal", kind=kind)
            return
        self.signals(entry.session, entry.incarnation, signal)

    async def _command(self, session: str, op: str, args: dict[str, Any]) -> Any:
        return await self._placement.worker_of(session).command(op, session, args)

    async def _stop(self, entry: SessionEntry, *, quietly: bool) -> None:
        # Quietly: the end of an old incarnation is not reported when a new one follows at once.
        entry.moving = quietly
        worker = entry.worker
        if not await self._placement.stop(entry) and worker is not None:
            entry.unstopped = worker
            log.error("A session does not stop, its worker is replaced", event_name="session.stop.failed")
            self._begin_recycle(worker, "stop failed")

    def _claim(self, entry: SessionEntry, snapshot: SessionSnapshot, jid: str | None, proxy: str | None) -> int:
        entry.unclaimed = None
        entry.jid, entry.proxy, entry.creation = snapshot.jid or jid, proxy, snapshot.creation
        for kind, data in catch_up_signals(snapshot, known_jid=jid):
            self._emit(entry, kind, data)
        return entry.incarnation

    def _begin_recycle(self, worker: WorkerHandle, reason: str) -> None:
        spawn(self._recovery.recycle(worker, reason), name="engines.recycle")

    # --- WorkerListener ---

    def signalled(self, worker: WorkerHandle, frame: SignalFrame) -> None:
        entry = self._placement.entries.get(frame.session)
        if entry is None or entry.worker is not worker or frame.incarnation != entry.incarnation:
            return
        entry.last_seq = max(entry.last_seq, frame.seq)
        if frame.kind == SignalKind.PAIRED:
            entry.jid = frame.data.get("jid")
        if frame.kind in FRAME_SIGNALS:
            self._frames[frame.session] = (self._clock.monotonic(), self._frames.get(frame.session, (None, None))[1])
        if frame.kind not in PASSING:
            entry.finished = frame.kind in FINAL
            if entry.unclaimed is not None:
                entry.unclaimed = msgspec.structs.replace(
                    entry.unclaimed, last_signal=frame.kind, last_signal_data=frame.data, jid=entry.jid
                )
        if entry.unclaimed is not None or entry.moving:
            return
        if worker.pairing and entry.jid is not None and frame.kind == SignalKind.CONNECTED:
            # Paired and logged in: move it to a worker that stays.
            entry.moving = True
            spawn(self._recovery.move_all(worker, "paired"), name="engines.handover")
        else:
            self._emit(entry, frame.kind, frame.data)

    def wrote_rows(self) -> None:
        self.journal_rows()

    def pulsed(self, worker: WorkerHandle, pulse: WorkerPulse) -> None:
        now = self._clock.monotonic()
        for session, (frame_ms, inbound_ms) in pulse.frames.items():
            entry = self._placement.entries.get(session)
            if entry is not None and entry.worker is worker:
                self._frames[session] = (_at(frame_ms, now), _at(inbound_ms, now))

    def greeted(self, worker: WorkerHandle, snapshot: Snapshot, *, first: bool) -> None:
        for running in snapshot.sessions:
            entry = self._placement.entries.get(running.session)
            if entry is not None and entry.worker is worker:
                if running.incarnation == entry.incarnation and running.last_seq > entry.last_seq:
                    self._catch_up(entry, running)
            elif first and (entry is None or not entry.wanted):
                self._take_in(worker, running)
            else:
                # Stopped or moved while the connection was away.
                spawn(self._placement.stop_stray(worker, running.session), name="engines.stray")
        if not first:
            there = {running.session for running in snapshot.sessions}
            missing = [entry for entry in self._placement.entries_in(worker) if entry.session not in there]
            if missing:
                spawn(self._recovery.after_reconnect(missing, worker), name="engines.restore")

    def _take_in(self, worker: WorkerHandle, running: SessionSnapshot) -> None:
        entry = self._placement.entry(running.session)
        entry.place(worker)
        entry.wanted, entry.unclaimed, entry.jid = True, running, running.jid
        entry.incarnation, entry.last_seq = running.incarnation, running.last_seq
        entry.finished = running.last_signal in FINAL

    def _catch_up(self, entry: SessionEntry, running: SessionSnapshot) -> None:
        known_jid, entry.jid = entry.jid, running.jid or entry.jid
        entry.last_seq, entry.finished = running.last_seq, running.last_signal in FINAL
        if entry.unclaimed is not None:
            entry.unclaimed = running
        elif not entry.moving:
            for kind, data in catch_up_signals(running, known_jid=known_jid)[1:]:
                self._emit(entry, kind, data)

    def lost(self, worker: WorkerHandle) -> None:
        entries = self._placement.entries_in(worker)
        lived_s = self._clock.monotonic() - worker.started_at
        reason = self.fleet.remove(worker)
        # What it journaled and could not report any more.
        for name, size in self.fleet.journals(worker.id):
            self.journals(name, size)
        to_restore = []
        for entry in entries:
            if entry.finished or entry.unclaimed is not None or not entry.wanted:
                self._placement.remove(entry)
            else:
                entry.place(None)
                to_restore.append(entry)
        if to_restore and not self._placement.closing:
            crashes = 0
            if reason not in ORDERLY:
                crashes = worker.crashes + 1 if lived_s < self._policy.healthy_after_s else 1
            spawn(self._recovery.after_death(to_restore, worker, crashes=crashes), name="engines.restore")


def _age_ms(at: float | None, now: float) -> int | None:
    return None if at is None else max(0, int((now - at) * 1000))


def _at(age_ms: int | None, now: float) -> float | None:
    return None if age_ms is None else now - age_ms / 1000

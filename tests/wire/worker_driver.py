"""One real engine worker process, driven over its socket as the API process does it, and its journal read from the file."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bot_service.domain.calls import Call
from bot_service.domain.group_changes import GroupChange
from bot_service.domain.message import InboundMessage, OutgoingMessage, Receipt, Sent
from bot_service.engines.wire import journal_file, protocol, worker_options
from bot_service.engines.wire.worker_options import WorkerOptions
from tests.fake_whatsapp.remote import Remote

Found = TypeVar("Found")
WAIT_S = 60.0
POLL_S = 0.01
ROOT = Path(__file__).resolve().parents[2]
_ids = itertools.count(1)
_decoder = msgspec.msgpack.Decoder(
    protocol.Reply
    | protocol.SignalFrame
    | protocol.JournalAdvanced
    | protocol.JournalRows
    | protocol.WorkerPulse
    | protocol.LogLines
    | protocol.Snapshot
)
_encoder = msgspec.msgpack.Encoder()


class CommandError(Exception):
    """The worker answered a command with an error; ``code`` is its stable name."""

    def __init__(self, reply: protocol.Reply) -> None:
        super().__init__(f"{reply.error}: {reply.detail}")
        self.code = reply.error


async def eventually(what: Callable[[], Found], within_s: float = WAIT_S) -> Found:
    """The first true answer; raises ``TimeoutError``."""
    end = time.monotonic() + within_s
    while not (found := what()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_s} s")
        await asyncio.sleep(POLL_S)
    return found


class WorkerDriver:
    """`await driver.start()`, then commands; ``signals`` holds everything it said, in order."""

    def __init__(
        self,
        data_dir: Path,
        server: Remote | None,
        *,
        engine: str = "neonize",
        options: dict[str, str] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.data_dir, self.server, self.engine, self._settings = data_dir, server, engine, settings or {}
        self.proxy = server.proxy if server else None
        self._options = options or {}
        self.id = f"w{next(_ids)}"
        self.signals: list[protocol.SignalFrame] = []
        self.pulses: list[protocol.WorkerPulse] = []
        self.snapshot: protocol.Snapshot | None = None
        self.process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[protocol.Reply]] = {}
        self._numbers = itertools.count(1)
        self._incarnations = itertools.count(1)

    async def start(self) -> None:
        run_dir = self.data_dir / "run"
        run_dir.mkdir(parents=True, exist_ok=True)
        options = WorkerOptions(
            engine=self.engine,
            id=self.id,
            data_dir=self.data_dir,
            options=self._options,
            log_level="debug",
            pulse_s=0.5,
            **self._settings,
        )
        command = ["-m", "tests.fake_whatsapp.worker", worker_options.encode(options)]
        with (self.data_dir / "workers.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self.server.environment() if self.server else None,
            )
        path = run_dir / f"worker-{self.id}.sock"
        reader = await self._connect(path)
        self._reading = asyncio.create_task(self._read(reader))
        self._send(protocol.Hello("test"))
        await eventually(lambda: self.snapshot)

    async def _connect(self, path: Path) -> asyncio.StreamReader:
        end = time.monotonic() + WAIT_S
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(path))
            except OSError:
                if time.monotonic() > end or (self.process and self.process.returncode is not None):
                    raise
                await asyncio.sleep(POLL_S)
            else:
                return reader

    async def end(self, with_signal: int = signal.SIGTERM) -> int:
        """End the process with a signal; returns its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            os.kill(self.process.pid, with_signal)
        async with asyncio.timeout(WAIT_S):
            code = await self.process.wait()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
        return code

    async def command(self, op: str, session: str | None = None, **args: Any) -> Any:
        """One command; raises :class:`CommandError`."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send(protocol.CommandFrame(number, op, session, args))
        async with asyncio.timeout(60):
            reply = await answer
        if reply.error is not None:
            raise CommandError(reply)
        return reply.value

    async def begin(self, session: str, jid: str | None = None) -> None:
        """Start a session: with a jid it comes back, without one it pairs."""
        incarnation = next(self._incarnations)
        await self.command("start", session, jid=jid, proxy=self.proxy, pairing=jid is None, incarnation=incarnation)

    async def pair(self, session: str, number: str) -> str:
        """Pair by QR and wait until the session is in sync; returns its jid."""
        await self.begin(session)
        code = (await self.heard(session, "qr")).data["code"]
        assert self.server is not None
        await self.server("scan", code=code, number=number)
        jid: str = (await self.heard(session, "paired")).data["jid"]
        await self.heard(session, "offline_sync_completed")
        return jid

    async def send(self, session: str, message: OutgoingMessage) -> Sent:
        return msgspec.convert(await self.command("send", session, message=msgspec.to_builtins(message)), Sent)

    async def heard(self, session: str, kind: str, count: int = 1, within_s: float = WAIT_S) -> protocol.SignalFrame:
        """Wait for the ``count``-th signal of this kind."""

        def find() -> protocol.SignalFrame | None:
            found = [told for told in self.signals if told.session == session and told.kind == kind]
            return found[count - 1] if len(found) >= count else None

        try:
            told = await eventually(find, within_s)
        except TimeoutError:
            raise TimeoutError(f"no {kind} (x{count}) of {session}; heard {self.kinds(session)}") from None
        assert told is not None
        return told

    def kinds(self, session: str) -> list[str]:
        return [told.kind for told in self.signals if told.session == session]

    # --- the journal ---

    def records(self) -> list[InboundMessage | Receipt | Call | GroupChange]:
        return journalled(self.data_dir)

    def messages(self, session: str | None = None) -> list[InboundMessage]:
        return [
            record
            for record in self.records()
            if isinstance(record, InboundMessage) and session in (None, record.session)
        ]

    def receipts(self) -> list[Receipt]:
        return [record for record in self.records() if isinstance(record, Receipt)]

    def group_changes(self) -> list[GroupChange]:
        return [record for record in self.records() if isinstance(record, GroupChange)]

    def calls(self) -> list[Call]:
        return [record for record in self.records() if isinstance(record, Call)]

    async def message(self, within_s: float = WAIT_S, **parts: Any) -> InboundMessage:
        """Wait until a message with these parts is in the journal."""

        def find() -> InboundMessage | None:
            for message in self.messages():
                if all(getattr(message, name) == value for name, value in parts.items()):
                    return message
            return None

        found = await eventually(find, within_s)
        assert found is not None
        return found

    # --- frames ---

    def _send(self, frame: protocol.Down) -> None:
        body = _encoder.encode(frame)
        assert self._writer is not None
        self._writer.write(len(body).to_bytes(protocol.LENGTH_BYTES, "big") + body)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(protocol.LENGTH_BYTES), "big")
                self._take(_decoder.decode(await reader.readexactly(size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_result(protocol.Reply(0, error="worker_lost"))

    def _take(self, frame: protocol.Up) -> None:
        if isinstance(frame, protocol.Reply):
            answer = self._waiting.pop(frame.id, None)
            if answer is not None and not answer.done():
                answer.set_result(frame)
        elif isinstance(frame, protocol.SignalFrame):
            self.signals.append(frame)
        elif isinstance(frame, protocol.WorkerPulse):
            self.pulses.append(frame)
        elif isinstance(frame, protocol.Snapshot):
            self.snapshot = frame


def journalled(data_dir: Path) -> list[InboundMessage | Receipt | Call | GroupChange]:
    """Everything in the journals of this folder, oldest first, repeats included."""
    found: list[InboundMessage | Receipt | Call | GroupChange] = []
    folder = data_dir / "journal"
    for name, size in journal_file.journal_files(folder):
        at = 0
        while at < size:
            piece = journal_file.read_journal(folder / name, at)
            for _, record in piece.records:
                if record.item is not None:
                    found.append(record.item)
            if piece.end == at:
                break
            at = piece.end
    return found

"""Runs the API process's commands on the engine: in order per session, with time limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bot_service.domain.message import OutgoingMessage
from bot_service.domain.questions import QUESTIONS
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import Engine, EngineError
from bot_service.engines.wire.protocol import DEFAULT_LIMIT_S, TIME_LIMITS_S, CommandFrame, Reply
from bot_service.engines.worker.sink import WorkerSink
from shared import logs

log = logs.get(__name__)

LIFECYCLE = frozenset({"start", "stop", "logout"})


class Commands:
    """One per worker. :meth:`run` raises nothing but cancellation."""

    def __init__(self, engine: Engine, sink: WorkerSink) -> None:
        self._engine, self._sink = engine, sink
        self._locks: dict[str, asyncio.Lock] = {}
        self._ops: dict[str, Callable[[str, dict[str, Any]], Awaitable[Any]]] = {
            "start": self._start,
            "stop": self._stop,
            "logout": self._logout,
            "pairing_code": lambda session, args: engine.pairing_code(session, str(args["phone"])),
            "send": self._send,
            "mark_read": lambda session, args: engine.mark_read(
                session, str(args["chat"]), str(args["sender"]), list(args["messageIds"])
            ),
            "typing": lambda session, args: engine.typing(session, str(args["chat"]), str(args["state"])),
            "ask": self._ask,
            "simulate": self._simulate,
        }

    async def run(self, command: CommandFrame) -> Reply:
        """The answer to ``command``."""
        try:
            async with asyncio.timeout(TIME_LIMITS_S.get(command.op, DEFAULT_LIMIT_S)):
                return Reply(command.id, await self._execute(command))
        except EngineError as error:
            return Reply(
                command.id, error=error.code, detail=error.detail, retryable=error.retryable, field=error.field
            )
        except TimeoutError:
            return Reply(command.id, error="timeout", detail=f"{command.op} took too long", retryable=True)
        except (KeyError, TypeError, ValueError) as error:
            return Reply(command.id, error="invalid", detail=f"{command.op}: {error}")
        except Exception as error:
            log.exception(f"Command {command.op} failed", event_name="worker.command.failed", op=command.op)
            return Reply(command.id, error="internal", detail=type(error).__name__)

    async def stop_all(self) -> None:
        """Stops every session, 16 at a time; one that hangs delays no other."""
        gate = asyncio.Semaphore(16)

        async def stop(session: str) -> None:
            async with gate:
                await self.run(CommandFrame(0, "stop", session))

        await asyncio.gather(*(stop(session) for session in self._sink.sessions()))

    async def _execute(self, command: CommandFrame) -> Any:
        if command.op == "simulate" and command.session is None:
            return await self._simulate(None, command.args)
        op = self._ops.get(command.op)
        if op is None or command.session is None:
            raise EngineError("invalid", f"no command {command.op}")
        if command.op not in LIFECYCLE:
            if not self._sink.runs(command.session):
                raise EngineError("not_started", "the session is not started", retryable=True)
            return await op(command.session, command.args)
        lock = self._locks.setdefault(command.session, asyncio.Lock())
        try:
            async with lock:
                return await op(command.session, command.args)
        finally:
            # The last user removes the lock: thousands of ended sessions must not leave theirs.
            if not lock.locked():
                self._locks.pop(command.session, None)

    async def _start(self, session: str, args: dict[str, Any]) -> None:
        if self._sink.runs(session):
            await self._stop(session, {})
        self._sink.begin(session, int(args["incarnation"]), args.get("jid"), str(args.get("creation", "")))
        try:
            await self._engine.start(
                session,
                jid=args.get("jid"),
                proxy=args.get("proxy"),
                pairing=bool(args.get("pairing", True)),
                canary=bool(args.get("canary")),
                **({"epoch": int(args["epoch"])} if "epoch" in args else {}),
            )
        except BaseException:
            self._sink.end(session, None)
            raise

    async def _stop(self, session: str, _args: dict[str, Any]) -> None:
        if not self._sink.runs(session):
            return
        try:
            await self._engine.stop(session)
        finally:
            self._sink.end(session, SignalKind.STOPPED)

    async def _logout(self, session: str, _args: dict[str, Any]) -> None:
        if not self._sink.runs(session):
            raise EngineError("not_started", "the session is not started", retryable=True)
        await self._engine.logout(session)
        self._sink.end(session, SignalKind.UNLINKED)

    async def _send(self, session: str, args: dict[str, Any]) -> Any:
        message = msgspec.convert(args["message"], OutgoingMessage)
        return msgspec.to_builtins(await self._engine.send(session, message))

    async def _ask(self, session: str, args: dict[str, Any]) -> Any:
        question = msgspec.convert(args["question"], QUESTIONS)
        return msgspec.to_builtins(await self._engine.ask(session, question))

    async def _simulate(self, session: str | None, args: dict[str, Any]) -> Any:
        rest = {name: value for name, value in args.items() if name != "action"}
        return await self._engine.simulate(session, str(args["action"]), rest)

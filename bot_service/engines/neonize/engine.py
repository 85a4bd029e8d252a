"""Real WhatsApp: the engine port over neonize. Loaded only by a worker process.

Starts and stops are serial; calls are limited in number and time, and made only for started
clients. Every incarnation has its own name, every session its own SQLite file. A finished
incarnation is removed from the library here; only the supervisor starts another one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FetchTimeout
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bot_service.domain import people
from bot_service.domain.directory import Question
from bot_service.domain.message import Media, OutgoingMessage, PollVote, Sent
from bot_service.domain.signals import SignalKind
from bot_service.engines.arrived_files import ArrivedFiles, FolderFiles
from bot_service.engines.neonize import directory, jids, log_lines, lost_messages, outgoing
from bot_service.engines.neonize import people as questions
from bot_service.engines.neonize.client import GATE_POLL_S, ClientContext, SessionClient
from bot_service.engines.neonize.client_table_lock import ClientTableLock
from bot_service.engines.neonize.device_store import DeviceStores, SqliteStores, StoreFailed
from bot_service.engines.neonize.errors import translate
from bot_service.engines.neonize.library import TYPING, Library, LibraryError
from bot_service.engines.neonize.sent_messages import SentMessage
from bot_service.engines.neonize.threads import on, within
from bot_service.engines.port import EngineError, EngineSink
from bot_service.engines.wire.device_store import DeviceStoreAddress
from bot_service.engines.wire.login_gate import RECENT_S, LoginAttempt, LoginGate, LoginResult
from shared import logs
from shared.clock import Clock, SystemClock, to_ms
from shared.tasks import spawn

log = logs.get(__name__)
Result = TypeVar("Result")

CALLS_AT_ONCE = 16
FETCHES_AT_ONCE = 4
SEND_S, CALL_S, DISCONNECT_S, FORGET_S, FETCH_S, VOTE_S, NUMBER_S = 45.0, 20.0, 3.0, 2.0, 20.0, 5.0, 2.0
DRAIN_S, QUIET_S = 2.0, 0.15
LINGER_S, RESTART_S = 1.0, 4.0
FIRST_CODE_S = 20.0
CATCH_UP_S, PROOF_S = 10.0, 3.0
PAIRING_CODE_VALID_MS = 160_000


class NeonizeEngine:
    """One per worker process."""

    def __init__(
        self,
        sink: EngineSink,
        *,
        data_dir: Path,
        options: dict[str, str],
        clock: Clock | None = None,
        device_store: DeviceStoreAddress | None = None,
        files: ArrivedFiles | None = None,
    ) -> None:
        self._sink, self._data_dir = sink, data_dir
        self._files = files or FolderFiles(data_dir / "media")
        self._clock = clock or SystemClock()
        self._loop = asyncio.get_running_loop()
        self._library = Library()
        build = int(options.get("client_build", "0"))
        self._login_gate = LoginGate(data_dir / "run", build, self._clock) if build else None
        self._context = ClientContext(
            self._library,
            ClientTableLock(self._clock),
            sink,
            self._clock,
            fetch=self._fetch,
            read_vote=self._read_vote,
            number_of=self._number_of,
            ended=lambda client: self._spawn_on_loop(self._ended, client, "engine.ended"),
            linked=lambda client: self._spawn_on_loop(self._restart_if_idle, client, "engine.linked"),
            login_gate=self._login_gate,
        )
        self._stores = _stores(device_store, data_dir, self._library, sink)
        self._clients: dict[str, SessionClient] = {}
        self._sending: dict[str, asyncio.Lock] = {}
        self._epochs: dict[str, int | None] = {}
        self._rounds: Counter[str] = Counter()
        self._incarnations = itertools.count(1)
        self._lifecycle = ThreadPoolExecutor(2, thread_name_prefix="lifecycle")
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="call")
        # Separate, because a send waits for its turn and for the server.
        self._sends = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="send")
        self._fetches = ThreadPoolExecutor(FETCHES_AT_ONCE, thread_name_prefix="fetch")

    # --- start and stop ---

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
        if session in self._clients:
            await self._forget(self._clients.pop(session))
        attempt = await self._at_gate() if jid is not None and not canary else None
        self._rounds[session] = 0 if jid else self._rounds[session] + 1
        try:
            client = await on(self._lifecycle, self._make, session, proxy, jid is None and pairing, attempt, epoch)
        except BaseException:
            if attempt is not None:
                attempt.end()
            raise
        self._clients[session] = client
        await on(self._lifecycle, client.start)
        if not client.over:
            try:
                await on(self._calls, client.call, self._library.show_as_active)
            except EngineError:
                log.debug("The session ended at once", event_name="engine.ended", session=session)

    async def _at_gate(self) -> LoginAttempt | None:
        """Waits until this login may go ahead."""
        if self._login_gate is None:
            return None
        attempt = self._login_gate.attempt(recent_s=RECENT_S)
        try:
            while (answer := attempt.ask()) is LoginResult.WAIT:  # noqa: ASYNC110  other processes decide
                await asyncio.sleep(GATE_POLL_S)
        except asyncio.CancelledError:
            attempt.end()
            raise
        if answer is LoginResult.CLOSED:
            attempt.end()
            raise EngineError("outdated", "WhatsApp refuses the client version of this worker", retryable=True)
        return attempt

    def _make(
        self, session: str, proxy: str | None, pairing: bool, attempt: LoginAttempt | None, epoch: int | None
    ) -> SessionClient:
        try:
            store, lost = self._stores.open(session, epoch)
            for message_id, reason in lost.items():
                lost_messages.report(self._sink, session, message_id, reason)
            self._epochs[session] = epoch
            name = f"{next(self._incarnations)}-{session}".encode()
            code_round = self._rounds[session] if pairing else None
            return SessionClient(session, name, store, self._context, proxy, code_round, attempt)
        except StoreFailed as error:
            raise EngineError("not_connected", f"the device store: {error}", retryable=True) from error
        except OSError as error:
            raise EngineError("internal", f"the files of the session: {error.strerror}", retryable=True) from error

    async def stop(self, session: str) -> None:
        client = self._clients.pop(session, None)
        if client is not None:
            await self._shut_down(client)

    async def _shut_down(self, client: SessionClient) -> None:
        client.stopping = True
        try:
            await within(DISCONNECT_S, self._calls, client.disconnect)
        except EngineError as error:
            log.warning("The session does not disconnect", event_name="engine.disconnect", reason=error.code)
        until = self._clock.monotonic() + DRAIN_S
        while (now := self._clock.monotonic()) < until:
            if client.gate.is_idle and now - client.last_event_at >= QUIET_S:
                break
            await asyncio.sleep(0.02)
        await self._forget(client)

    async def _forget(self, client: SessionClient) -> None:
        if client.gate.overdue or client.gate.crowded:
            log.warning(
                "Receipts left before their messages were seen to be kept, or sends and messages crossed",
                event_name="engine.gate.overdue",
                session=client.session,
                overdue=client.gate.overdue,
                crowded=client.gate.crowded,
            )
        # The thread of codes that were not scanned never ends; the pairing process ends soon.
        abandoned = client.showed_code.is_set() and not client.paired
        if not await on(self._lifecycle, client.forget, 0.0 if abandoned else FORGET_S) and not abandoned:
            log.warning("A thread of the library did not end", event_name="engine.thread.left", session=client.session)

    def _spawn_on_loop(
        self, step: Callable[[SessionClient], Coroutine[Any, Any, None]], client: SessionClient, name: str
    ) -> None:
        self._loop.call_soon_threadsafe(lambda: spawn(step(client), name=name))

    async def _ended(self, client: SessionClient) -> None:
        # The library still has to delete what a logout deletes.
        await asyncio.sleep(LINGER_S)
        if self._clients.get(client.session) is client:
            del self._clients[client.session]
            await self._shut_down(client)

    async def _restart_if_idle(self, client: SessionClient) -> None:
        # After a pairing the server asks for a new connection. When it closes the old one too soon,
        # the library takes that for its own close and never dials again: dial for it.
        await asyncio.sleep(RESTART_S)
        idle = not (client.connection.dials > 1 or client.connection.is_up or client.stopping or client.over)
        if idle and self._clients.get(client.session) is client:
            log.info("The library did not connect after pairing, connecting", event_name="engine.paired.restart")
            await self.start(
                client.session, jid="known", proxy=client.proxy, pairing=False, epoch=self._epochs[client.session]
            )

    async def logout(self, session: str) -> None:
        client = self._linked(session)
        await self._call(session, self._library.logout)
        self._clients.pop(session, None)
        await self._shut_down(client)

    async def close(self) -> None:
        clients, self._clients = list(self._clients.values()), {}
        await asyncio.gather(*(self._shut_down(client) for client in clients))
        for executor in (self._lifecycle, self._calls, self._sends, self._fetches):
            executor.shutdown(wait=False, cancel_futures=True)
        self._stores.close()

    # --- pairing ---

    async def pairing_code(self, session: str, phone: str) -> str:
        client = self._client(session)
        until = self._clock.monotonic() + FIRST_CODE_S
        while not client.showed_code.is_set():
            if client.over or self._clock.monotonic() > until:
                raise EngineError("not_connected", "the server did not offer to pair", retryable=True)
            await asyncio.sleep(0.05)
        code = await self._call(session, self._library.pairing_code, phone)
        self._sink.signal(session, SignalKind.PAIRING_CODE, {"code": code, "expiresInMs": PAIRING_CODE_VALID_MS})
        return code

    # --- messages ---

    async def send(self, session: str, message: OutgoingMessage) -> Sent:
        client = self._client(session)
        if message.id in client.sending.in_flight:
            raise EngineError("timeout", "the server has not answered yet", retryable=True)
        known = client.sent.by_id(message.id)
        if known is not None and (taken_at_ms := await self._taken_at_ms(client, message.id)) is not None:
            return Sent(message.id, taken_at_ms)
        target = _address(message.to)
        # The library sends one message of a session at a time: wait here, not on one of its
        # threads.
        async with self._sending.setdefault(session, asyncio.Lock()):
            return await within(SEND_S, self._sends, self._send, client, target, message)

    async def _taken_at_ms(self, client: SessionClient, message_id: str) -> int | None:
        """When the server took a message that was sent before; None without proof: send it again.

        The answer may have been lost with a worker. Then a receipt proves it, which may wait at the
        server.
        """
        until = self._clock.monotonic() + CATCH_UP_S
        proof_until: float | None = None
        while not client.over:
            known = client.sent.by_id(message_id)
            if known is not None and known.taken_at_ms is not None:
                return known.taken_at_ms
            now = self._clock.monotonic()
            if proof_until is None and (client.connection.caught_up.is_set() or now >= until):
                proof_until = now + PROOF_S
            if proof_until is not None and now >= proof_until:
                break
            await asyncio.sleep(0.05)
        log.info("A message is sent again, nothing proves that it was taken", event_name="message.sent_again")
        return None

    def _send(self, client: SessionClient, target: Any, message: OutgoingMessage) -> Sent:
        chat = jids.to_text(target)
        now_ms = to_ms(self._clock.now())

        def upload(data: bytes, kind: str) -> Any:
            return client.call(self._library.upload, data, kind)

        try:
            body = outgoing.build(message, chat, upload, client.sent.whatsapp_id, now_ms)
            with client.sending.of(SentMessage(message.id, "", chat)):
                at_s = client.call(self._library.send, target, body)
        except LibraryError as error:
            failure = translate(str(error))
            if log_lines.names_fence(str(error)):
                client.fenced()
            if failure.code == "timelocked":
                self._sink.signal(client.session, SignalKind.TIMELOCK, {"untilMs": None})
            raise failure from error
        client.sent.taken(message.id, at_s * 1000)
        return Sent(message.id, at_s * 1000)

    async def mark_read(self, session: str, chat: str, sender: str, message_ids: list[str]) -> None:
        where, who = _address(chat), _address(sender) if sender else jids.empty()
        at_s = int(self._clock.now().timestamp())
        self._linked(session)
        await self._call(session, self._library.mark_read, message_ids, at_s, where, who)

    async def typing(self, session: str, chat: str, state: str) -> None:
        if state not in TYPING:
            raise EngineError("invalid", f"typing is one of {', '.join(TYPING)}")
        self._linked(session)
        await self._call(session, self._library.typing, _address(chat), state)

    async def ask(self, session: str, question: Question) -> Any:
        client = self._linked(session)
        match question:
            case people.RejectCall(call, caller):
                question = people.RejectCall(call, client.caller(call, caller))
            case people.StarMessage(message=message):
                question = msgspec.structs.replace(question, message=client.sent.whatsapp_id(message))
        return await self._call(session, directory.answer, question)

    async def simulate(self, session: str | None, action: str, args: dict[str, Any]) -> Any:
        raise EngineError("not_supported", "only the simulator knows actions")

    def _fetch(self, client: SessionClient, body: Any, media: Media, message_id: str) -> Media:
        """Runs on the session's event pump: bounded, because the whole session waits."""
        if (media.size or 0) > self._files.limit_bytes:
            log.info("A file is too large to be kept", event_name="engine.media.large", size=media.size)
            return media
        try:
            data = self._fetches.submit(client.call, self._library.download, body).result(FETCH_S)
            if len(data) > self._files.limit_bytes:  # senders may say less
                return media
            return self._files.keep(client.session, message_id, media, data)
        except (LibraryError, EngineError, OSError, FetchTimeout, RuntimeError) as error:
            log.warning("A file could not be fetched", event_name="engine.media", reason=type(error).__name__)
            return media

    def _read_vote(self, client: SessionClient, event: Any, vote: PollVote) -> PollVote:
        """Runs on the session's event pump: bounded, because the whole session waits."""
        try:
            chosen = self._fetches.submit(client.call, self._library.poll_vote, event).result(VOTE_S)
        except (LibraryError, EngineError, FetchTimeout, RuntimeError) as error:
            # A poll that was made before this device was linked has a key that it never got.
            log.warning("A vote cannot be read", event_name="engine.vote", reason=type(error).__name__)
            return vote
        return PollVote(vote.poll, hashes=tuple(option.hex() for option in chosen))

    def _number_of(self, client: SessionClient, lid: Any) -> Any:
        """Runs on the session's event pump: bounded, because the whole session waits."""
        try:
            return self._fetches.submit(client.call, questions.number_of, lid).result(NUMBER_S)
        except (LibraryError, EngineError, FetchTimeout, RuntimeError):
            return None

    # --- calls ---

    def _client(self, session: str) -> SessionClient:
        client = self._clients.get(session)
        if client is None or client.over:
            raise EngineError("not_started", "the session is not started", retryable=True)
        return client

    def _linked(self, session: str) -> SessionClient:
        """Some calls for a client without an account end the process."""
        client = self._client(session)
        if not client.connection.was_online:
            raise EngineError("not_connected", "the session has not connected yet", retryable=True)
        return client

    async def _call(self, session: str, function: Callable[..., Result], *args: Any) -> Result:
        client = self._client(session)
        return await within(CALL_S, self._calls, client.call, function, *args)


def _stores(address: DeviceStoreAddress | None, data_dir: Path, library: Library, sink: EngineSink) -> DeviceStores:
    if address is None:
        return SqliteStores(data_dir)
    from bot_service.engines.neonize.postgresql_store import PostgresqlStores  # loads its driver

    return PostgresqlStores(address, library, sink.wrote_rows)


def _address(text: str) -> Any:
    try:
        return jids.to_library(text)
    except ValueError as error:
        raise EngineError("invalid", "no such address") from error

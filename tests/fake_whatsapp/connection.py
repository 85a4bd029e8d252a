"""One websocket of one device: handshake, then either pairing or login, then stanzas until it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import WSMsgType, web
from cryptography.exceptions import InvalidTag
from neonize.proto.waWa6 import WAWebProtobufsWa6_pb2 as wa6

from tests.fake_whatsapp import codec
from tests.fake_whatsapp.accounts import Companion
from tests.fake_whatsapp.faults import Attrs
from tests.fake_whatsapp.jid import SERVER, lid_jid
from tests.fake_whatsapp.keys import KeyPair
from tests.fake_whatsapp.nodes import Attr, Node
from tests.fake_whatsapp.noise import Handshake, Transport
from tests.fake_whatsapp.versions import announced_build
from tests.fake_whatsapp.world import World

LENGTH_BYTES = 3
PROLOGUE_BYTES = 4
GRACE_S = 0.05
STREAM_END_S = 0.2
log = logging.getLogger("fake_whatsapp")

Handler = Callable[["Connection", Node], Awaitable[None]]


class PairingDesk(Protocol):
    """Where a connection without an account waits for a phone."""

    async def begin(self, connection: Connection) -> None: ...

    def forget(self, connection: Connection) -> None: ...


class Connection:
    """`companion` is set once the device is known. All sending is serialised, because frames are numbered."""

    def __init__(self, world: World, socket: web.WebSocketResponse, desk: PairingDesk, handler: Handler) -> None:
        self.world = world
        self.companion: Companion | None = None
        self.payload: Any = None
        self.noise_key = b""
        self.silent = False
        self._socket = socket
        self._desk = desk
        self._handler = handler
        self._buffer = b""
        self._incoming: Transport | None = None
        self._outgoing: Transport | None = None
        self._lock = asyncio.Lock()
        self._position = 0
        self._live = False

    @property
    def number(self) -> str:
        return self.companion.number if self.companion else ""

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        try:
            if await self._handshake():
                await self._serve()
        except (ConnectionError, EOFError, InvalidTag) as error:
            self.world.stats["broken connections"] += 1
            log.debug("connection ends: %r", error)
        finally:
            self._desk.forget(self)
            if self.companion is not None and self.companion.connection is self:
                self.companion.connection = None

    async def send(self, node: Node) -> None:
        """Send one stanza; a connection that is gone is ignored."""
        with contextlib.suppress(ConnectionError):
            async with self._lock:
                await self._send(node)

    async def flush(self) -> None:
        """Send what the queue of this device holds and was not sent on this connection yet."""
        companion = self.companion
        if companion is None or not self._live or self._is_silent():
            return
        with contextlib.suppress(ConnectionError):
            async with self._lock:
                while self._position < companion.queue.end and not self._is_silent():
                    stanza = companion.queue.get(self._position)
                    self._position += 1
                    if stanza is not None:
                        await self._send(stanza)

    async def stream_error(self, attrs: Attrs, conflict: str | None = None) -> None:
        """End the stream the way the server does."""
        children = [Node("conflict", {"type": conflict})] if conflict else None
        await self.send(Node("stream:error", dict(attrs), children))
        await asyncio.sleep(0 if self.world.faults.hasty else STREAM_END_S)
        await self.close()

    async def fail(self, attrs: Attrs) -> None:
        """Refuse the login the way the server does."""
        self.world.stats[f"failure {attrs.get('reason', '?')}"] += 1
        await self.send(Node("failure", dict(attrs)))
        await asyncio.sleep(GRACE_S)
        await self.close()

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.close()

    def adopt(self, companion: Companion) -> None:
        """The device behind this connection is known now (after a login or a pairing)."""
        self.companion = companion

    # --- the road of a connection ---

    async def _handshake(self) -> bool:
        while len(self._buffer) < PROLOGUE_BYTES:
            if not await self._fill():
                return False
        prologue, self._buffer = self._buffer[:PROLOGUE_BYTES], self._buffer[PROLOGUE_BYTES:]
        hello = await self._frame()
        if hello is None:
            return False
        theirs: bytes = wa6.HandshakeMessage.FromString(hello).clientHello.ephemeral
        self.world.stats["hellos"] += 1
        await self._while(lambda: self.world.faults.hold_handshake)
        state, ours, identity = Handshake(prologue), KeyPair(), self.world.identity
        state.absorb(theirs)
        state.absorb(ours.public)
        state.mix(ours.agree(theirs))
        answer = wa6.HandshakeMessage()
        answer.serverHello.ephemeral = ours.public
        answer.serverHello.static = state.seal(identity.static.public)
        state.mix(identity.static.agree(theirs))
        answer.serverHello.payload = state.seal(identity.certificate)
        await self._raw(answer.SerializeToString())
        last = await self._frame()
        if last is None:
            self.world.stats["certificates rejected"] += 1
            return False
        finish = wa6.HandshakeMessage.FromString(last).clientFinish
        self.noise_key = state.open(finish.static)
        state.mix(ours.agree(self.noise_key))
        self.payload = wa6.ClientPayload.FromString(state.open(finish.payload))
        self._incoming, self._outgoing = state.split()
        self.world.stats["handshakes"] += 1
        return True

    async def _serve(self) -> None:
        # The server looks at the version before it looks at the account.
        refusal = self.world.versions.failure(self.payload)
        if self.payload.HasField("devicePairingData"):
            if refusal is None and not self.world.versions.build_hash_fits(self.payload):
                self.world.stats["wrong build hashes"] += 1
                refusal = {"reason": "400"}
            if refusal is not None:
                await self.fail(refusal)
                return
            await self._desk.begin(self)
        elif refusal is not None:
            account = self.world.directory.accounts.get(str(self.payload.username))
            if account is not None:
                account.attempts.append(time.monotonic())
            await self.fail(refusal)
            return
        elif not await self._login():
            return
        while (node := await self._receive()) is not None:
            await self._while(self._is_half_dead)
            try:
                await self._handler(self, node)
            except (KeyError, ValueError, IndexError):
                self.world.stats["stanzas not understood"] += 1
                log.exception("cannot handle %s", node)

    async def _login(self) -> bool:
        number, device = str(self.payload.username), int(self.payload.device)
        account = self.world.directory.accounts.get(number)
        if account is not None:
            account.attempts.append(time.monotonic())
        companion = self.world.directory.by_noise_key(number, device, self.noise_key)
        failure = self.world.faults.next_login_failure(number)
        if companion is None:
            failure = {"reason": "401", "location": "fake"}
        if account is None or companion is None or failure is not None:
            await self.fail(failure or {"reason": "401"})
            return False
        account.logins.append(time.monotonic())
        account.build = announced_build(self.payload)
        self.world.versions.announced[account.build] += 1
        self.world.stats["logins"] += 1
        older, self.companion, companion.connection = companion.connection, companion, self
        if older is not None and older is not self:
            self.world.stats["doubled"] += 1
            await older.stream_error({}, "replaced")
        self.silent = self.world.faults.begins_silent(number)
        success: dict[str, Attr] = {
            "t": self.world.now_s(),
            "lid": lid_jid(number, device),
            "props": 1,
            "companion_enc_static": "x",
        }
        await self.send(Node("success", success))
        await self._catch_up(companion)
        return True

    async def _catch_up(self, companion: Companion) -> None:
        self._live = True
        owed = 0 if self._is_silent() else len(companion.queue)
        if owed:
            messages, receipts = companion.queue.count("message"), companion.queue.count("receipt")
            counts: dict[str, Attr] = {
                "count": owed,
                "message": messages,
                "receipt": receipts,
                "notification": 0,
                "appdata": 0,
            }
            await self.send(Node("ib", {"from": SERVER}, [Node("offline_preview", counts)]))
            for stanza in companion.queue:
                stanza.attrs["offline"] = "0"
        await self.flush()
        await self.send(Node("ib", {"from": SERVER}, [Node("offline", {"count": owed})]))

    # --- frames ---

    def _is_silent(self) -> bool:
        return self.silent or self.world.faults.hits(self.world.faults.silent, self.number)

    def _is_half_dead(self) -> bool:
        return bool(self.number) and self.world.faults.hits(self.world.faults.half_dead, self.number)

    async def _while(self, fault: Callable[[], bool]) -> None:
        while fault() and not self._socket.closed:  # noqa: ASYNC110  a fault is switched from outside, at any time
            await asyncio.sleep(GRACE_S)

    async def _send(self, node: Node) -> None:
        await self._while(self._is_half_dead)
        if self.world.faults.latency_ms:
            await asyncio.sleep(self.world.faults.latency_ms / 1000)
        if self._outgoing is None:
            raise ConnectionError("no handshake yet")
        log.debug("> %s", node)
        await self._raw(self._outgoing.seal(codec.encode(node)))

    async def _receive(self) -> Node | None:
        frame = await self._frame()
        if frame is None or self._incoming is None:
            return None
        node = codec.decode(self._incoming.open(frame))
        log.debug("< %s", node)
        return node

    async def _raw(self, data: bytes) -> None:
        await self._socket.send_bytes(len(data).to_bytes(LENGTH_BYTES, "big") + data)

    async def _frame(self) -> bytes | None:
        while True:
            if len(self._buffer) >= LENGTH_BYTES:
                end = LENGTH_BYTES + int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
                if len(self._buffer) >= end:
                    frame, self._buffer = self._buffer[LENGTH_BYTES:end], self._buffer[end:]
                    return frame
            if not await self._fill():
                return None

    async def _fill(self) -> bool:
        message = await self._socket.receive()
        if message.type is not WSMsgType.BINARY:
            return False
        self._buffer += message.data
        return True

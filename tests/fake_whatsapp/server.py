"""The fake server as one object: start it, point an engine's proxy at it, let phones act, stop it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from aiohttp import web

from tests.fake_whatsapp import tls
from tests.fake_whatsapp.connection import Connection
from tests.fake_whatsapp.faults import Attrs
from tests.fake_whatsapp.nodes import Node
from tests.fake_whatsapp.pairing import Pairing
from tests.fake_whatsapp.proxy import Proxy
from tests.fake_whatsapp.routing import Router, drop_all
from tests.fake_whatsapp.services import Services
from tests.fake_whatsapp.world import World

SHUTDOWN_S = 0.2


class FakeWhatsApp:
    """An engine reaches it through `proxy_url`, must trust the authority in `ca_file` and the key `root_public`."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        self.pairing = Pairing(self.world)
        self.router = Router(self.world)
        self._services = Services(self.world, self.pairing)
        self.ca_file, self._tls = tls.make(folder)
        self._runner: web.AppRunner | None = None
        self._proxy: Proxy | None = None

    @property
    def root_public(self) -> bytes:
        return self.world.identity.root_public

    @property
    def proxy(self) -> Proxy:
        if self._proxy is None:
            raise RuntimeError("the server is not started")
        return self._proxy

    @property
    def proxy_url(self) -> str:
        return self.proxy.url

    async def start(self, proxy_port: int = 0) -> None:
        app = web.Application(client_max_size=128 * 1024 * 1024)
        app.router.add_get("/ws/chat", self._websocket)
        app.router.add_get("/", self._version_html)
        app.router.add_get("/sw.js", self._version_script)
        self.world.media.add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls, backlog=1024)
        await site.start()
        self._proxy = Proxy(self.world.faults, self._runner.addresses[0][1])
        await self._proxy.start(proxy_port)

    async def stop(self) -> None:
        await drop_all(self.world)
        if self._proxy is not None:
            await self._proxy.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> FakeWhatsApp:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- what the server does to devices ---

    async def stream_error(self, number: str, attrs: Attrs, conflict: str | None = None) -> int:
        """End the streams of a number with this error. Returns how many there were."""
        doomed = self._connections_of([number])
        for connection in doomed:
            await connection.stream_error(attrs, conflict)
        return len(doomed)

    async def drop(self, number: str = "") -> int:
        """Close sockets without a word, of one number or of all."""
        return await drop_all(self.world, number)

    async def send_raw(self, number: str, node: Node) -> None:
        """Send any stanza to the devices of a number."""
        for connection in self._connections_of([number]):
            await connection.send(node)

    async def resume(self) -> None:
        """Deliver what was held back while the server was silent."""
        for companion in self.world.directory.online():
            if companion.connection is not None:
                companion.connection.silent = False
                await companion.connection.flush()

    def _connections_of(self, numbers: Iterable[str]) -> list[Connection]:
        wanted = set(numbers)
        return [connection for connection in self.world.connections if connection.number in wanted]

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        self.world.stats["websockets"] += 1
        socket = web.WebSocketResponse(compress=False, max_msg_size=0)
        await socket.prepare(request)
        connection = Connection(self.world, socket, self.pairing, self._stanza)
        self.world.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.world.connections.discard(connection)
        return socket

    async def _version_html(self, request: web.Request) -> web.StreamResponse:
        return await self.world.versions.html(request)

    async def _version_script(self, request: web.Request) -> web.StreamResponse:
        return await self.world.versions.script(request)

    async def _stanza(self, connection: Connection, node: Node) -> None:
        if node.tag == "iq":
            await self._services.handle(connection, node)
        else:
            await self.router.handle(connection, node)

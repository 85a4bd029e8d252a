"""Accepts the connections of a listening socket, within its limits and its descriptors."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable

from shared import logs
from shared.tasks import spawn
from shared.web.connections import Connection, Connections

# Descriptors of a process; more cost memory in the kernel and are never needed.
MOST_DESCRIPTORS = 65_536
# The kernel's queue is served in its order, so accepting must be faster than anybody connects; but
# whatever is ready waits for a whole turn.
ACCEPTS_PER_TURN = 16
RETRY_S = 0.2
# A peer that does not take what was sent to it, or that is gone.
UNACKNOWLEDGED_MS = 60_000

log = logs.get(__name__)


def raise_descriptors() -> int:
    """Raise the soft limit on open files as far as allowed; returns the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
        return wanted
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


class Acceptor:
    """Listens on one socket. ``make`` builds the protocol of an admitted connection."""

    def __init__(
        self,
        listener: socket.socket,
        connections: Connections,
        make: Callable[[Connection], asyncio.BaseProtocol],
        *,
        refused: Callable[[str], None],
    ) -> None:
        self._listener, self._connections, self._make, self._refused = listener, connections, make, refused
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        # Accepted, and without a transport yet that closes them.
        self._opening: dict[asyncio.Task[None], socket.socket] = {}
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Close the listening socket and the connections without a whole head."""
        self._loop.remove_reader(self._listener)
        if self._retry is not None:
            self._retry.cancel()
        self._listener.close()
        for task, sock in self._opening.items():
            task.cancel()  # a task that never began would leave its socket open
            sock.close()
        self._connections.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # no descriptor or no memory is left
                self._failed(error)
                return
            connection = self._connections.admit(str(address[0]))
            if connection is None:
                sock.close()
            else:
                task = spawn(self._open(sock, connection), name="connection.open")
                self._opening[task] = sock
                task.add_done_callback(self._opening.pop)

    async def _open(self, sock: socket.socket, connection: Connection) -> None:
        try:
            sock.setblocking(False)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
            await self._loop.connect_accepted_socket(lambda: self._make(connection), sock)
        except OSError:
            self._connections.forget(connection)
            sock.close()

    def _failed(self, error: OSError) -> None:
        """Make room and try again soon: the listening socket stays ready, so the loop would spin."""
        self._refused(error.strerror or type(error).__name__)
        self._connections.close_oldest()
        self._loop.remove_reader(self._listener)
        self._retry = self._loop.call_later(RETRY_S, self._listen)

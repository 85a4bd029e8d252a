"""The open connections of one program: how many there may be, and how long each may wait.

Strangers can open connections faster than anybody can identify them. So every connection that has
not proved anything can be closed for a newer one, and some are kept free for reserved routes.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

# Probes of platforms, the watchdog's pings and its heartbeat, Prometheus.
RESERVED_PATHS = frozenset({"/health", "/livez", "/readyz", "/metrics", "/api/heartbeat"})
SWEEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections are counts; the ``_s`` are seconds.

    ``per_address`` holds for public addresses: a private one may be a proxy with many clients.
    """

    in_all: int = 512
    reserved: int = 64
    per_address: int = 128
    head_bytes: int = 32 * 1024
    head_s: float = 10.0
    idle_s: float = 75.0
    body_grace_s: float = 10.0
    body_bytes_per_s: int = 4096

    def within(self, descriptors: int) -> Limits:
        """These limits, or fewer connections when the process may open only ``descriptors`` files."""
        in_all = min(self.in_all, max(8, descriptors // 2))
        return replace(self, in_all=in_all, reserved=max(1, self.reserved * in_all // self.in_all))


class Phase(Enum):
    """What a connection does. All but the ``BUSY`` ones may be closed for newer ones."""

    HEAD = "waits for a whole head"
    UNKNOWN = "is served, without proof of who the caller is"
    IDLE = "waits for its next request"
    BUSY = "is served, its caller is identified"


_WAITING = (Phase.HEAD, Phase.UNKNOWN, Phase.IDLE)


class Connection:
    """One connection. ``is_slow(now)`` says whether its body arrives too slowly."""

    __slots__ = ("closed", "is_slow", "network", "phase", "since", "transport")

    def __init__(self, network: str | None, since: float) -> None:
        self.network, self.since = network, since
        self.phase = Phase.HEAD
        self.transport: asyncio.Transport | None = None
        self.is_slow: Callable[[float], bool] | None = None
        self.closed = False

    def abort(self) -> None:
        self.closed = True
        if self.transport is not None:
            self.transport.abort()


class Connections:
    """Admits connections, closes those that waited too long, and the oldest when there are too many."""

    def __init__(self, limits: Limits, *, refused: Callable[[str], None]) -> None:
        self.limits, self._refused = limits, refused
        self._loop = asyncio.get_running_loop()
        self._in: dict[Phase, OrderedDict[Connection, None]] = {phase: OrderedDict() for phase in Phase}
        self._of_network: Counter[str] = Counter()
        self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)

    def __len__(self) -> int:
        return sum(map(len, self._in.values()))

    @property
    def is_crowded(self) -> bool:
        """Whether more than half of the connections are open: then none is kept after its answer."""
        return len(self) * 2 > self.limits.in_all

    @property
    def has_room(self) -> bool:
        """Whether a request to a route that is not reserved may begin: the others can be closed for it."""
        return len(self._in[Phase.BUSY]) < self.limits.in_all - self.limits.reserved

    def admit(self, address: str) -> Connection | None:
        """The record of a new connection, or None when it must be closed at once."""
        network = network_of(address)
        if network is not None and self._of_network[network] >= self.limits.per_address:
            self._refused("too many connections of one address")
            return None
        if len(self) >= self.limits.in_all and not self.close_oldest():
            self._refused("too many connections")
            return None
        connection = Connection(network, self._loop.time())
        self._in[Phase.HEAD][connection] = None
        if network is not None:
            self._of_network[network] += 1
        return connection

    def enter(self, connection: Connection, phase: Phase) -> None:
        """Move ``connection`` to ``phase``; its wait begins now."""
        if connection.closed:
            return
        self._in[connection.phase].pop(connection, None)
        connection.phase, connection.since = phase, self._loop.time()
        self._in[phase][connection] = None

    def forget(self, connection: Connection) -> None:
        """The connection is closed. May be called twice."""
        connection.closed = True
        if self._in[connection.phase].pop(connection, self) is self:
            return
        network = connection.network
        if network is not None:
            self._of_network[network] -= 1
            if not self._of_network[network]:
                del self._of_network[network]

    def close_oldest(self) -> bool:
        """Close the connection that waited longest; False when all are served."""
        oldest = [next(iter(self._in[phase])) for phase in _WAITING if self._in[phase]]
        if not oldest:
            return False
        self._end(min(oldest, key=lambda connection: connection.since))
        return True

    def close(self) -> None:
        """Close every connection without a whole head; aiohttp closes the others in its own time."""
        self._sweeping.cancel()
        for connection in list(self._in[Phase.HEAD]):
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        self.forget(connection)
        connection.abort()

    def _sweep(self) -> None:
        now = self._loop.time()
        for phase, longest_s in ((Phase.HEAD, self.limits.head_s), (Phase.IDLE, self.limits.idle_s)):
            waiting = self._in[phase]
            while waiting and now - (oldest := next(iter(waiting))).since > longest_s:
                self._end(oldest)
        for phase in (Phase.UNKNOWN, Phase.BUSY):
            for connection in list(self._in[phase]):
                if connection.is_slow is not None and connection.is_slow(now):
                    self._end(connection)
        self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str | None:
    """The public IPv4 address or IPv6 /64 network that ``address`` counts for; None for others."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if not found.is_global:
        return None
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


def is_reserved(path: str) -> bool:
    return path in RESERVED_PATHS

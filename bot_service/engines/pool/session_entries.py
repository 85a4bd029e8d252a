"""Which session runs where: the records of the pool. No I/O."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot_service.domain.signals import SignalKind
from bot_service.engines.pool.worker_handle import WorkerHandle
from bot_service.engines.wire.protocol import SessionSnapshot

# After these neither engine nor pool does anything for the session until its next start.
FINAL = frozenset(
    {
        SignalKind.QR_EXHAUSTED,
        SignalKind.PAIR_ERROR,
        SignalKind.CONNECT_ERROR,
        SignalKind.LOGGED_OUT,
        SignalKind.PRIMARY_GONE,
        SignalKind.BANNED,
        SignalKind.TEMP_BANNED,
        SignalKind.OUTDATED,
        SignalKind.CONNECT_REFUSED,
        SignalKind.REPLACED,
    }
)
_ONLINE = frozenset({SignalKind.CONNECTED, SignalKind.OFFLINE_SYNC_COMPLETED, SignalKind.KEEPALIVE_RESTORED})


@dataclass(slots=True)
class SessionEntry:
    """One session. ``wanted``: it is to run. ``lock`` serializes changes of its place."""

    session: str
    jid: str | None = None
    proxy: str | None = None
    creation: str = ""
    incarnation: int = 0
    wanted: bool = False
    worker: WorkerHandle | None = None
    moving: bool = False
    finished: bool = False
    last_seq: int = 0
    unclaimed: SessionSnapshot | None = None
    """Set for a session that a worker kept running and no start has claimed yet."""
    last_worker: str | None = None
    avoid: str | None = None
    """The worker in which the next start must not happen."""
    unstopped: WorkerHandle | None = None
    """The worker that did not stop it when it was asked; the client may run until that worker ends."""
    recycled_at: float | None = None
    """When its worker was last replaced on request; monotonic seconds."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_between(self) -> bool:
        """In no worker now, or leaving one: it gets another worker anyway."""
        return self.worker is None or self.moving or self.worker.is_lost

    def place(self, worker: WorkerHandle | None) -> None:
        """Leaves its worker and enters ``worker``."""
        if self.worker is not None:
            self.worker.sessions.discard(self.session)
        self.worker = worker
        if worker is not None:
            worker.sessions.add(self.session)
            self.last_worker = worker.id


def catch_up_signals(snapshot: SessionSnapshot, *, known_jid: str | None) -> list[tuple[str, dict[str, object]]]:
    """The signals that bring a new listener to the present state, in order.

    ``earlier`` marks a connection that was made before.
    """
    signals: list[tuple[str, dict[str, object]]] = [(SignalKind.STARTED.value, {})]
    if snapshot.jid is not None and snapshot.jid != known_jid:
        signals.append((SignalKind.PAIRED.value, {"jid": snapshot.jid, "lid": None, "pushName": None}))
    last = snapshot.last_signal
    if last in (SignalKind.STARTED, SignalKind.PAIRED):
        return signals
    if last in _ONLINE and last != SignalKind.CONNECTED:
        signals.append((SignalKind.CONNECTED.value, {"earlier": True}))
    if last == SignalKind.KEEPALIVE_RESTORED:
        last, data = SignalKind.OFFLINE_SYNC_COMPLETED.value, {"count": 0}
    else:
        data = snapshot.last_signal_data
    earlier = {"earlier": True} if last == SignalKind.CONNECTED else {}
    signals.append((last, {**data, **earlier}))
    return signals

"""The frames between API process and worker: length-prefixed msgpack over a Unix socket.

The worker listens (``<run dir>/worker-<id>.sock``) and the API process connects, so that a worker
outlives a restart of the API process and is adopted by the next one. A newer connection replaces an
older one.

Down go commands, each answered by exactly one :class:`Reply`. Up come :class:`SignalFrame` (in
order per session), :class:`JournalAdvanced`, :class:`JournalRows`, :class:`WorkerPulse` and :class:`LogLines`. Inbound
messages and receipts are not sent in frames: the worker appends them to its journal, and the API process reads that file
(see ``bot_service/engines/wire/journal_file.py``), or writes them to PostgreSQL.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bot_service.domain.signals import SignalKind

PROTOCOL_VERSION = 1
LENGTH_BYTES = 4  # big-endian length of the msgpack body that follows
MAX_FRAME_BYTES = 32 * 1024 * 1024

# Seconds that a command may take inside the worker; the API process waits a little longer.
TIME_LIMITS_S = {
    "start": 30.0,
    "stop": 20.0,
    "logout": 30.0,
    "pairing_code": 30.0,
    "send": 45.0,
    "mark_read": 20.0,
    "typing": 20.0,
    "ask": 25.0,
    "simulate": 30.0,
}
DEFAULT_LIMIT_S = 10.0

# Signals that do not change the state of the connection; a snapshot never holds one.
PASSING = frozenset(
    {
        SignalKind.RECEIPT,
        SignalKind.PRESENCE,
        SignalKind.UNDECRYPTABLE,
        SignalKind.MESSAGE_LOST,
        SignalKind.TIMELOCK,
        SignalKind.PAIRING_CODE,
        SignalKind.OFFLINE_SYNC_PREVIEW,
    }
)


class Frame(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True):
    """Base of all frames."""


# --- down ---


class Hello(Frame, frozen=True, tag="hello"):
    """First frame of a connection; the worker answers with :class:`Snapshot`."""

    boot_id: str
    protocol: int = PROTOCOL_VERSION


class CommandFrame(Frame, frozen=True, tag="cmd"):
    """``op`` of ``session`` with ``args``, as in ``engines/port.py:Engine``.

    start {jid: str | None, proxy: str | None, pairing: bool, incarnation: int, creation: str, canary: bool, epoch: int}, stop
    {}, logout {}, pairing_code {phone}, send {message: OutgoingMessage as dict}, mark_read {chat,
    sender, messageIds}, typing {chat, state}, ask {question}, simulate {action, ...}; for the whole worker (session
    None): snapshot {}, shutdown {}.
    """

    id: int
    op: str
    session: str | None = None
    args: dict[str, Any] = {}


class LeaseFrame(Frame, frozen=True, tag="lease"):
    """With replicas: this replica owns its sessions until ``until_s`` of the machine's monotonic clock.

    A worker that gets no later one ends at that moment, whatever becomes of its API process. No answer.
    """

    until_s: float


# --- up ---


class Reply(Frame, frozen=True, tag="reply"):
    """The end of a command: ``value`` when ``error``, a stable code, is None.

    ``detail`` is for people; ``field`` is the argument that is wrong.
    """

    id: int
    value: Any = None
    error: str | None = None
    detail: str = ""
    retryable: bool = False
    field: str | None = None


class SignalFrame(Frame, frozen=True, tag="signal"):
    """One :class:`bot_service.domain.signals.SignalKind` of one session.

    ``incarnation`` is the number that the start command gave: a signal of a lower one is ignored.
    ``at_ms`` is wall time in milliseconds since the epoch.
    """

    session: str
    incarnation: int
    seq: int
    kind: str
    at_ms: int
    data: dict[str, Any] = {}


class JournalAdvanced(Frame, frozen=True, tag="journal"):
    """The worker's journal ``file`` (its name) now holds complete records up to byte ``end``."""

    file: str
    end: int


class JournalRows(Frame, frozen=True, tag="rows"):
    """The worker wrote rows of what arrived into the PostgreSQL that replicas share, instead of its journal."""


class WorkerPulse(Frame, frozen=True, tag="pulse"):
    """Every 5 s from a worker: its resources and the ages of its sessions' frames.

    ``frames`` maps session to (ms since the last frame or None, ms since the last inbound or None).
    It holds the sessions with a frame since the last pulse; the first pulse of a connection holds
    all. ``journal_failing``: the disk refuses records, so nothing that arrives is acknowledged.
    """

    rss_bytes: int
    descriptors: int
    threads: int
    loop_lag_ms: int
    sessions: int
    frames: dict[str, tuple[int | None, int | None]] = {}
    journal_failing: bool = False


class LogLines(Frame, frozen=True, tag="log"):
    """What the worker wrote to the log: (time, level, event, session or None, the line as JSON)."""

    lines: list[tuple[str, str, str, str | None, str]]


class SessionSnapshot(msgspec.Struct, frozen=True):
    """What an adopting API process must know of a running session."""

    session: str
    incarnation: int
    last_signal: str
    last_signal_data: dict[str, Any]
    last_seq: int
    jid: str | None = None
    creation: str = ""


class Snapshot(Frame, frozen=True, tag="snapshot"):
    """Answer to :class:`Hello`: the worker, its journal, and its sessions as they are now."""

    worker_id: str
    engine: str
    pid: int
    journal_file: str
    journal_end: int
    sessions: list[SessionSnapshot]
    protocol: int = PROTOCOL_VERSION
    client_build: int = 0  # announced to WhatsApp; 0 for none


Down = Hello | CommandFrame | LeaseFrame
Up = Reply | SignalFrame | JournalAdvanced | JournalRows | WorkerPulse | LogLines | Snapshot

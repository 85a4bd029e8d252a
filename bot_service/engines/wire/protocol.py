"""The frames between the API process and an engine worker: msgpack, length-prefixed, over a Unix socket.

The worker listens (``<run dir>/worker-<id>.sock``) and the API process connects, so that a worker outlives a restart of
the API process and is adopted by the next one. One connection at a time: a newer one replaces the older.

Down go commands, each answered by exactly one :class:`Reply`. Up come :class:`Signal` (order kept per session),
:class:`JournalAdvanced` and :class:`WorkerPulse`. Inbound messages and receipts never travel in frames: the worker appends them
to its journal file first, and the API process reads the file (see ``bot_service/engines/wire/journal_file.py``).
"""

from __future__ import annotations

from typing import Any

import msgspec

PROTOCOL_VERSION = 1
LENGTH_BYTES = 4  # big-endian length of the msgpack body that follows
MAX_FRAME_BYTES = 32 * 1024 * 1024


class Frame(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True):
    """Base of all frames."""


# --- down ---


class Hello(Frame, frozen=True, tag="hello"):
    """First frame of a connection. ``boot_id`` of the API process; the worker answers with :class:`Snapshot`."""

    boot_id: str
    protocol: int = PROTOCOL_VERSION


class Command(Frame, frozen=True, tag="cmd"):
    """``op`` of ``session`` with ``args``; the ops and their arguments are those of ``engines/port.py:Engine``.

    start {jid: str | None, proxy: str | None, pairing: bool, incarnation: int, canary: bool}, stop {}, logout {}, pairing_code {phone},
    send {message: OutgoingMessage as dict}, mark_read {chat, sender, messageIds}, typing {chat, state},
    simulate {action, ...}; for the whole worker (session None): snapshot {}, drain {}, shutdown {}.
    """

    id: int
    op: str
    session: str | None = None
    args: dict[str, Any] = {}


# --- up ---


class Reply(Frame, frozen=True, tag="reply"):
    """The end of a command: ``value`` when ``error`` is None. ``error`` is a stable code, ``detail`` for people, ``field``
    the argument that is wrong."""

    id: int
    value: Any = None
    error: str | None = None
    detail: str = ""
    retryable: bool = False
    field: str | None = None


class Signal(Frame, frozen=True, tag="signal"):
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


class WorkerPulse(Frame, frozen=True, tag="pulse"):
    """Every 5 s from a worker: what it costs and, per session, how long ago its last frame and last inbound came.

    ``frames`` maps session to (milliseconds since the last frame or None, milliseconds since the last inbound or None);
    it holds the sessions that had a frame since the pulse before, and all of them in the first pulse of a connection.
    ``journal_failing``: the disk refuses records, so nothing that arrives is acknowledged.
    """

    rss_bytes: int
    descriptors: int
    threads: int
    loop_lag_ms: int
    sessions: int
    frames: dict[str, tuple[int | None, int | None]] = {}
    journal_failing: bool = False


class SessionSnapshot(msgspec.Struct, frozen=True):
    """What an adopting API process must know of a session that ran on without it."""

    session: str
    incarnation: int
    last_signal: str
    last_signal_data: dict[str, Any]
    last_seq: int
    jid: str | None = None


class Snapshot(Frame, frozen=True, tag="snapshot"):
    """Answer to :class:`Hello`: the worker, its journal, and its sessions as they are now."""

    worker_id: str
    engine: str
    pid: int
    journal_file: str
    journal_end: int
    sessions: list[SessionSnapshot]
    protocol: int = PROTOCOL_VERSION
    client_build: int = 0  # what its engine announces to WhatsApp; 0 when it announces none


Down = Hello | Command
Up = Reply | Signal | JournalAdvanced | WorkerPulse | Snapshot

"""The login gate: one login first, over all workers, while a build may be refused by WhatsApp.

When connections are lost, every client of every worker dials again within milliseconds. One of them
is enough to find out whether the build is refused. So the first login goes alone and the others
wait briefly for its result. When it is accepted, all go at once, so that hundreds of sessions come
back together after an ordinary loss.

The state is a small file per build in ``DATA_DIR/run``: the times of the last accepted and refused
login, and whether the API process closed the gate. The first login holds a lock on it, which a dead
process releases. An error of the file never holds a login.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from shared.clock import Clock

_STATE = struct.Struct("<qqqq")
_ACCEPTED, _REFUSED, _CLOSED, _ONE_MORE = 0, 8, 16, 24
_NAME = "logins-"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC

RECENT_S = 0.5
"""A login accepted within this time is proof enough: starts follow one another closely."""
DECISION_S = 10.0
"""After a refused login, how long the others wait for the API process to close the gate."""
PATIENCE_S = 3.0
"""The longest wait for another login that is under way."""
CLOSED_FOR_S = 120.0
"""The longest hold of a closed gate, in case no API process is left."""


class LoginResult(Enum):
    GO = "go"
    WAIT = "wait"
    CLOSED = "closed"


class LoginGate:
    """The gate of the build that this process announces."""

    def __init__(self, run_dir: Path, build: int, clock: Clock) -> None:
        self._path, self._clock = run_dir / f"{_NAME}{build}", clock

    def attempt(self, *, recent_s: float = 0.0) -> LoginAttempt:
        """One login. Another one that was accepted within ``recent_s`` is proof enough."""
        return LoginAttempt(self._path, self._clock, recent_s)


class LoginAttempt:
    """Ask until it may go, then report the result. Thread-safe."""

    def __init__(self, path: Path, clock: Clock, recent_s: float) -> None:
        self._path, self._clock, self._recent_s = path, clock, recent_s
        self._since = clock.monotonic()
        self._file: int | None = None
        self._lock = threading.RLock()

    def ask(self) -> LoginResult:
        """Whether the client may dial now. Returns at once."""
        with self._lock:
            try:
                return self._ask(self._opened())
            except OSError:
                return self._go()

    def is_closed(self) -> bool:
        """Whether the API process holds every login of this build."""
        with self._lock, contextlib.suppress(OSError):
            return _read(self._opened()).closed and self._clock.monotonic() - self._since < CLOSED_FOR_S
        return False

    def _ask(self, file: int) -> LoginResult:
        now = self._clock.monotonic()
        waited = now - self._since
        state = _read(file, now)
        if state.closed and waited < CLOSED_FOR_S:
            return LoginResult.CLOSED
        if state.accepted > state.refused and self._since - self._recent_s < state.accepted:
            return self._go()
        decided = max(state.accepted, state.one_more) > state.refused
        if not decided and now - state.refused < DECISION_S and waited < DECISION_S:
            return LoginResult.WAIT
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return LoginResult.WAIT if waited < PATIENCE_S else self._go()
        return LoginResult.GO

    def _go(self) -> LoginResult:
        self.end()
        return LoginResult.GO

    def accepted(self) -> None:
        """The server accepted the build."""
        self._note(_ACCEPTED)

    def refused(self) -> None:
        """The server refused the build."""
        self._note(_REFUSED)

    def allow_one_more(self) -> None:
        """From the API process: the refusal may concern one account only; another one tries."""
        self._note(_ONE_MORE)

    def end(self) -> None:
        """The attempt is over. Idempotent."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)  # and with it the lock on the file
                self._file = None

    def _note(self, place: int) -> None:
        with self._lock, contextlib.suppress(OSError):
            os.pwrite(self._opened(), struct.pack("<q", int(self._clock.monotonic() * 1e9)), place)
        self.end()

    def _opened(self) -> int:
        if self._file is not None and os.fstat(self._file).st_nlink == 0:
            # Somebody removed it: the others use a new one.
            os.close(self._file)
            self._file = None
        if self._file is None:
            self._file = os.open(self._path, _FLAGS, 0o600)
        return self._file


def close_for(run_dir: Path, refused: Iterable[int]) -> None:
    """From the API process: closes the gate for exactly these builds. Raises ``OSError``."""
    closed = {f"{_NAME}{build}" for build in refused}
    present = {path.name for path in run_dir.glob(f"{_NAME}*")}
    for name in closed | present:
        file = os.open(run_dir / name, _FLAGS, 0o600)
        try:
            os.pwrite(file, struct.pack("<q", name in closed), _CLOSED)
        finally:
            os.close(file)


def remove_unused(run_dir: Path, used: Iterable[int]) -> None:
    """From the API process: removes the files of builds that no worker announces any more."""
    keep = {f"{_NAME}{build}" for build in used}
    for path in run_dir.glob(f"{_NAME}*"):
        if path.name not in keep:
            path.unlink(missing_ok=True)


class _State(NamedTuple):
    """Seconds of the monotonic clock, 0.0 for never."""

    accepted: float
    refused: float
    closed: bool
    one_more: float


def _read(file: int, now: float = 0.0) -> _State:
    data = os.pread(file, _STATE.size, 0).ljust(_STATE.size, b"\0")
    accepted, refused, closed, one_more = _STATE.unpack(data)
    # A time in the future is from before a restart of the machine.
    times = [stored / 1e9 if 0 < stored <= now * 1e9 else 0.0 for stored in (accepted, refused, one_more)]
    return _State(times[0], times[1], closed == 1, times[2])

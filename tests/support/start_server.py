"""Starts the programs for tests without importing them each time, which is most of what a start costs.

One process for each test process has imported the programs. It forks a child for each start, and the child becomes the program as
``python -m`` would: arguments, environment, folder, standard streams, ``__main__``, signals and exit code are those of a real start.
Its parent is the start server, which sends its exit status. Tests of starting itself use ``Program.own_interpreter``.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
# What is started, and what its start imports.
MODULES = {
    "bot_service": "bot_service.__main__",
    "watchdog": "watchdog.__main__",
    "shared.tools.cli.main": "shared.tools.cli.commands",
}
# What Python, the C library, OpenSSL or Typer read once, when the process starts.
_READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "GLIBC_", "OPENSSL_", "FORCE_COLOR", "_TYPER_")
_LONGEST = 200_000


class StartedProgram:
    """As ``subprocess.Popen``, for what the start server started."""

    def __init__(self, server: StartServer, pid: int) -> None:
        self._server, self.pid = server, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ended(self.pid, 0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = self._server.ended(self.pid, timeout)
        if self.returncode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class StartServer:
    """The side of the tests. Threads may share it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = _read_at_start(environment)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # It ends when the socket is closed, with this process.
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._started: list[int] = []
        self._ended: dict[int, int] = {}
        self._lock = threading.Lock()
        atexit.register(self._close)

    def serves(self, module: str, environment: Mapping[str, str]) -> bool:
        """Whether a start with ``environment`` would be the same as a real one."""
        return module in MODULES and _read_at_start(environment) == self._environment

    def start(
        self, module: str, arguments: tuple[str, ...], environment: Mapping[str, str], cwd: Path, output: int
    ) -> StartedProgram:
        """``output`` is the descriptor of standard output and standard error; standard input is empty."""
        request = {"module": module, "arguments": arguments, "environment": dict(environment), "cwd": str(cwd)}
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [output])
            while not self._started:
                self._receive()
            return StartedProgram(self, self._started.pop())

    def run(self, module: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> tuple[int, bytes]:
        """(exit code, both outputs) of a program that ends by itself."""
        with tempfile.TemporaryFile() as out:
            program = self.start(module, arguments, environment, ROOT, out.fileno())
            try:
                code = program.wait(PATIENCE_S)
            finally:
                program.kill()
            out.seek(0)
            return code, out.read()

    def ended(self, pid: int, within_s: float | None) -> int | None:
        """The exit code of ``pid``, as in ``subprocess``; None when it still runs after ``within_s``."""
        deadline = None if within_s is None else time.monotonic() + within_s
        while True:
            with self._lock:
                while pid not in self._ended and select.select([self._socket], [], [], 0)[0]:
                    self._receive()
                if pid in self._ended:
                    return self._ended.pop(pid)
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                return None
            # Another thread may take the message: so not for long.
            select.select([self._socket], [], [], 0.1 if left_s is None else min(left_s, 0.1))

    def _close(self) -> None:
        self._socket.close()
        self._process.wait()

    def _receive(self) -> None:
        message = self._socket.recv(_LONGEST)
        if not message:
            raise RuntimeError(f"the start server ended with {self._process.wait()}")
        pid, status = json.loads(message)
        if status is None:
            self._started.append(pid)
        else:
            self._ended[pid] = os.waitstatus_to_exitcode(status)


@cache
def start_server() -> StartServer:
    """The one of this process, started when a test first asks for it."""
    return StartServer({**inherited(), "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)})


# The programs must see nothing of the machine's own configuration, only what a test gives.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT", "LD_LIBRARY_PATH")


def inherited() -> dict[str, str]:
    """The variables that every program gets from the tests' environment."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


# --- the side of the server ---


def _serve(sock: socket.socket) -> dict[str, Any]:
    """Fork for each request until the tests close the socket; returns in each child, with what it must become."""

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                sock.send(json.dumps(ended).encode())

    signal.signal(signal.SIGCHLD, reap)
    while True:
        message, descriptors, _, _ = socket.recv_fds(sock, _LONGEST, 1)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for stream in (1, 2):
                os.dup2(descriptors[0], stream)
            return dict(json.loads(message))
        sock.send(json.dumps((pid, None)).encode())
        os.close(descriptors[0])


def _become(module: str, arguments: list[str], environment: dict[str, str], cwd: str) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    sys.path[0] = cwd
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _import() -> None:
    """Import the programs, without what only a start may do."""
    for module in MODULES.values():
        importlib.import_module(module)
        if module.endswith("__main__"):
            del sys.modules[module]
    assert threading.active_count() == 1, "a fork would lose a thread"
    assert tempfile.tempdir is None, "a program would use this process's folder for temporary files"
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _import()
    _sock = socket.socket(fileno=int(sys.argv[1]))
    _request = _serve(_sock)
    _sock.detach()
    os.closerange(3, 1024)
    _become(**_request)

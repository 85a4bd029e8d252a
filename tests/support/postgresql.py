"""A PostgreSQL server for tests: Debian's programs, loopback only, ended with the test run.

Each process of a run starts its own when it first asks. Tests ask for a database: a copy of a template
with the newest schema, dropped after the test.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

import psutil
import pytest

from bot_service.store.database import open_database
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S

TEMPLATE = "template_veilleur"
_USER = "veilleur"
# The server refuses to run as root.
OWNER = "postgres" if os.geteuid() == 0 else None
# Short segments of the log: a cluster is 31 MB instead of 39.
_INITDB = ("--no-sync", "--wal-segsize=4", "--auth=trust", f"--username={_USER}", "--encoding=UTF8", "--locale=C")
# Nothing of a test must survive a crash of the machine.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "300",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "warning",
}


def needed() -> list[pytest.MarkDecorator]:
    """The marks of tests that start a server."""
    missing = programs() is None or shutil.which("setpriv") is None
    return [pytest.mark.postgresql, pytest.mark.skipif(missing, reason="needs PostgreSQL (.ci/run installs it)")]


def programs() -> Path | None:
    """The folder of Debian's newest server; None where none is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class PostgreSQL:
    """A running server with an empty cluster, as an unprivileged user."""

    def __init__(self) -> None:
        bin_folder = programs()
        assert bin_folder is not None, "PostgreSQL is not installed (.ci/run installs it)"
        self._bin = bin_folder
        self.folder = Path(tempfile.mkdtemp(prefix="veilleur-postgresql-"))
        self.user = _USER
        if OWNER is not None:
            shutil.chown(self.folder, OWNER)
        atexit.register(self.close)
        self._make_cluster()
        self.port, self.process = self._start()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run it outside a transaction; what it printed."""
        return self._run("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url(database))

    def signal(self, number: int) -> None:
        """To the server and the processes of its connections, which have groups of their own."""
        server = psutil.Process(self.process.pid)
        for process in (server, *server.children()):
            # A process of a connection may end in between.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def restart(self) -> None:
        """Stop at once, as a crash does, and start on the same port."""
        self.stop()
        self.port, self.process = self._start(self.port)

    def stop(self) -> None:
        """At once, as a crash does."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=PATIENCE_S)

    def start(self) -> None:
        """Again on the same port."""
        self.port, self.process = self._start(self.port)

    def close(self) -> None:
        if hasattr(self, "process") and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_cluster(self) -> None:
        """Empty. Making one takes most of a second, so the first is kept in the environment and copied."""
        made = Path(sys.prefix) / f"postgresql-{hashlib.sha256(repr((self._bin, _INITDB)).encode()).hexdigest()[:16]}"
        if not made.exists():
            self._run("initdb", *_INITDB, "-D", "data")
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                copied = Path(tempfile.mkdtemp(prefix=f"{made.name}.", dir=made.parent))
                try:
                    subprocess.run(["cp", "-a", self.folder / "data", copied], check=True, stderr=subprocess.DEVNULL)
                    (copied / "data").rename(made)
                finally:
                    shutil.rmtree(copied, ignore_errors=True)
            return
        subprocess.run(["cp", "-a", made, self.folder / "data"], check=True)

    def _start(self, port: int | None = None) -> tuple[int, subprocess.Popen[bytes]]:
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        for _ in range(5):  # another program may take the port first
            chosen = port or free_port()
            with (self.folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    # It must not outlive a test process that is killed, not even when it is stopped itself.
                    ["setpriv", *self._as_owner(), "--pdeathsig", "KILL", str(self._bin / "postgres"), "-D", "data",
                     "-p", str(chosen), *options],
                    cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            if self._answers(chosen, process):
                return chosen, process
        raise AssertionError(f"PostgreSQL does not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def _answers(self, port: int, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        while process.poll() is None and time.monotonic() < deadline:
            if subprocess.run(ready, check=False).returncode == 0:
                return True
            time.sleep(0.02)
        return False

    def _as_owner(self) -> list[str]:
        return ["--reuid", OWNER, "--regid", OWNER, "--clear-groups"] if OWNER is not None else []

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self._bin / program), *arguments]
        if OWNER is not None:
            command = ["setpriv", *self._as_owner(), *command]
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{program}: {ended.stderr}"
        return ended.stdout.strip()


@cache
def server() -> PostgreSQL:
    """The one of this process."""
    assert threading.current_thread() is threading.main_thread(), "a server ends with the thread that started it"
    return PostgreSQL()


@cache
def _template() -> str:
    server().sql(f"CREATE DATABASE {TEMPLATE}")

    async def migrate() -> None:
        await (await open_database(server().url(TEMPLATE))).close()

    # Tests ask for it inside and outside a running loop: a thread has none.
    thread = threading.Thread(target=asyncio.run, args=(migrate(),))
    thread.start()
    thread.join()
    return TEMPLATE


def create(name: str, *, empty: bool = False) -> str:
    """A new database with the newest schema, or ``empty``. Returns its URL."""
    server()  # in the main thread
    server().sql(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else _template()}")
    return server().url(name)


def drop(name: str) -> None:
    """With all connections to it."""
    server().sql(f"DROP DATABASE {name} WITH (FORCE)")


async def migrated(on: PostgreSQL, name: str) -> None:
    """A new database on a server of the test's own, with the newest schema."""
    on.sql(f"CREATE DATABASE {name}")
    await (await open_database(on.url(name))).close()

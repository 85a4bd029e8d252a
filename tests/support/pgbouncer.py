"""Debian's PgBouncer in transaction mode in front of a PostgreSQL of the tests, on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.postgresql import OWNER, PostgreSQL
from tests.support.waiting import PATIENCE_S

PASSWORD = "what:a\\pass word"


def needed() -> pytest.MarkDecorator:
    """The mark of a test that starts it."""
    return pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer (.ci/run installs it)")


class PgBouncer:
    """Asks its clients for :data:`PASSWORD`; has up to ``pool`` connections to the server."""

    def __init__(self, server: PostgreSQL, database: str, *, pool: int = 4) -> None:
        self.server, self.database = server, database
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="veilleur-pgbouncer-"))
        (self.folder / "users").write_text(f'"{server.user}" "{PASSWORD}"\n')
        settings = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "", "pool_mode": "transaction",
            "auth_type": "scram-sha-256", "auth_file": self.folder / "users", "default_pool_size": pool,
            "max_client_conn": 1000, "ignore_startup_parameters": "extra_float_digits",
            "server_login_retry": 1,
        }  # fmt: skip
        lines = [f"{name} = {value}" for name, value in settings.items()]
        target = f"{database} = host=127.0.0.1 port={server.port} dbname={database}"
        (self.folder / "settings.ini").write_text("\n".join(["[databases]", target, "[pgbouncer]", *lines, ""]))
        for path in (self.folder, *self.folder.iterdir()):
            if OWNER is not None:
                shutil.chown(path, OWNER)
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://{self.server.user}:what%3Aa%5Cpass%20word@127.0.0.1:{self.port}/{self.database}"

    def start(self) -> None:
        user = ["--reuid", OWNER, "--regid", OWNER, "--clear-groups"] if OWNER is not None else []
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", *user, "--pdeathsig", "KILL", "pgbouncer", str(self.folder / "settings.ini")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"PgBouncer does not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """At once."""
        self.process.kill()
        self.process.wait(timeout=PATIENCE_S)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

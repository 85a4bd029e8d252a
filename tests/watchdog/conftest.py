"""What several packages of the watchdog's tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.support.postgresql import PostgreSQL


@pytest.fixture
def database() -> Iterator[PostgreSQL]:
    """A server of the test's own, which it may stop and freeze."""
    server = PostgreSQL()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.signal(signal.SIGCONT)
        server.close()

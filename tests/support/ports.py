"""Ports for servers of tests."""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_FIRST, _LAST = 10_000, 32_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def _candidates() -> Iterator[int]:
    """Ports in random order, without end.

    They lie below the range from which the system serves outgoing connections: one of those may
    take a port between its choice and its use. Each worker of pytest-xdist has ports of its own.
    """
    last = min(_LAST, int(_EPHEMERAL.read_text().split()[0]) - 1) if _EPHEMERAL.exists() else _LAST
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(range(_FIRST + worker, last + 1, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
    random.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)


_CANDIDATES = _candidates()


def free_port() -> int:
    """A port that nothing listens on now, on IPv4 and IPv6 alike."""
    for port in itertools.islice(_CANDIDATES, 50):
        with socket.socket(socket.AF_INET) as four, socket.socket(socket.AF_INET6) as six:
            try:
                four.bind(("127.0.0.1", port))
                six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                six.bind(("::", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free on both families")

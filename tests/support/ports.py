"""Ports for servers of tests."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port that nothing listens on now, on IPv4 and IPv6 alike."""
    for _ in range(50):
        with socket.socket(socket.AF_INET) as four, socket.socket(socket.AF_INET6) as six:
            four.bind(("127.0.0.1", 0))
            port: int = four.getsockname()[1]
            try:
                six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                six.bind(("::", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free on both families")

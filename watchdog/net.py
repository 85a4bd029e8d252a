"""What went wrong on the way to another server, as a stable code, for every HTTP client of the watchdog."""

from __future__ import annotations

import socket
import ssl

import aiohttp

_CODES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((aiohttp.ClientConnectorDNSError, socket.gaierror), "dns"),
    (TimeoutError, "timeout"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "tls"),
    (aiohttp.InvalidURL, "invalid_url"),
    ((aiohttp.ClientConnectorError, ConnectionRefusedError), "connect_failed"),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, ConnectionError), "connection_lost"),
)


def reason_of(error: BaseException) -> str:
    """``dns``, ``timeout``, ``tls``, ``invalid_url``, ``connect_failed``, ``connection_lost`` or ``network``."""
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), "network")

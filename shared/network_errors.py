"""Stable reason codes for failed requests to other servers."""

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
    """``dns``, ``timeout``, ``tls``, ``invalid_url``, ``connect_failed``, ``connection_lost``,
    ``network``.
    """
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), "network")

"""Connects to public addresses only, checked at connect time on the resolved address.

A check of the host name before the request would leave a gap: the name may resolve to another
address a moment later (DNS rebinding). aiohttp calls :func:`public_socket` for every socket, with
the resolved address, also for literal addresses.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from aiohttp import TCPConnector
from yarl import URL

from shared import http_client
from shared.name_resolver import NameResolver

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SITE_LOCAL = ipaddress.ip_network("fec0::/10")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


class RefusedAddress(OSError):
    """The address is not public, so no connection was made."""


def is_public(address: IPAddress) -> bool:
    """Whether ``address`` is public. An IPv4 address inside an IPv6 one decides."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inside(address)
        if inner is not None:
            return is_public(inner)
        if address in _SITE_LOCAL:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def is_reachable_url(url: str) -> bool:
    """Whether a client can call ``url``: http or https, with a host and a valid port."""
    try:
        parts = URL(url)
        # Reading the host decodes it, which fails for names such as ``xn--``.
        return parts.scheme in ("http", "https") and bool(parts.host) and parts.port != 0
    except ValueError:
        return False


def refusal_of_url(url: str) -> str | None:
    """Why ``url`` is sure to be refused, or None: a hint for people, not the guard itself."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return "localhost is a private address"
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return None
    return None if is_public(address) else f"{address} is a private address"


def shown_receiver(url: str) -> str:
    """Host, port and path of ``url`` for pages: no user, password or query. Older versions stored any URL."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or '?'}" + (f":{parts.port}" if parts.port else "") + parts.path.rstrip("/")
    except ValueError:
        return "?"


def shown_url(url: str) -> str:
    """The whole address without what may be a secret: user, password and the query."""
    scheme, _, _ = url.partition("://")
    return f"{scheme}://{shown_receiver(url)}" + ("?***" if "?" in url else "")


def public_socket(info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """A socket for the resolved address ``info``. Raises RefusedAddress if it is not public."""
    family, kind, proto, _, where = info
    if not is_public(ipaddress.ip_address(str(where[0]).split("%")[0])):
        raise RefusedAddress("refused: the host resolves to a private address")
    return socket.socket(family, kind, proto)


def connector(*, allow_private: bool, limit: int, resolver: NameResolver | None = None) -> TCPConnector:
    """A pool of ``limit`` connections (0: no limit), made in a running loop."""
    return http_client.Connector(resolver, limit=limit, socket_factory=None if allow_private else public_socket)

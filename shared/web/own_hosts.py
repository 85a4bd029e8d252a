"""The names by which browsers may reach the pages of a program.

A name that a stranger has bound to this machine (DNS rebinding) makes a foreign page look like one of
ours to the browser. So pages answer only to names that no stranger can own.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from shared.web import errors
from shared.web.middleware import Handler

# Endings that no public name has.
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")


class OwnHosts:
    """``urls`` are public addresses of this program, ``names`` lists of further hosts; ``*`` means any."""

    def __init__(self, *, urls: Iterable[str | None] = (), names: Iterable[str | None] = ()) -> None:
        given = [url for url in urls if url]
        self._origins = {_origin(url) for url in given}
        self._names = {host for url in given if (host := urlsplit(url).hostname)}
        self._names.update(
            _without_port(name.lower())
            for given_names in names
            for name in re.split(r"[\s,]+", given_names or "")
            if name
        )
        self._names.add(socket.gethostname().lower())

    def include(self, host: str) -> bool:
        """Whether ``host``, with or without a port, is a name of this program.

        Addresses are: a browser that shows one is connected to it. So are names without a dot.
        """
        name = _without_port(host).lower().rstrip(".")
        if "*" in self._names or name in self._names or name.endswith(_PRIVATE):
            return True
        try:
            ipaddress.ip_address(name.strip("[]").partition("%")[0])
        except ValueError:
            return "." not in name
        return True

    def sent(self, request: web.Request, origin: str) -> bool:
        """Whether a page of this program is at ``origin``; a proxy may have changed the host of the request."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return _origin(origin) in self._origins or (parts.netloc == request.host and self.include(parts.netloc))

    def only(self, applies: Callable[[web.Request], bool]) -> Middleware:
        """The middleware that refuses requests with another host, 421, where ``applies``."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            # Every browser sends the header.
            host = request.headers.get(hdrs.HOST, "")
            if host and applies(request) and not self.include(host):
                raise errors.unknown_host()
            return await handler(request)

        return middleware


OWN_HOSTS: web.AppKey[OwnHosts] = web.AppKey("own_hosts", OwnHosts)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _origin(url: str) -> tuple[str, str]:
    """Scheme and host with port, without the default port."""
    parts = urlsplit(url)
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    netloc = parts.netloc.lower()
    return parts.scheme, netloc.removesuffix(default) if default else netloc

"""Binds a port for IPv4 and IPv6, or says in one line why that is not possible."""

from __future__ import annotations

import errno
import socket
import sys

BACKLOG = 1024


def listening_sockets(host: str | None, port: int) -> list[socket.socket]:
    """Bound sockets for ``host`` and ``port``; IPv4 and IPv6 when ``host`` is None.

    Port 0 takes a free one, the same for both families. Raises ``OSError`` when the port is in use.
    """
    families = [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    if host is not None:
        families = [(socket.AF_INET6 if ":" in host else socket.AF_INET, host)]
    made: list[socket.socket] = []
    try:
        for family, address in families:
            try:
                made.append(_bound(family, address, port or (made[0].getsockname()[1] if made else 0)))
            except OSError as error:
                # A machine without IPv6 is fine when the other family works.
                if not (made and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)):
                    raise
    except OSError:
        for sock in made:
            sock.close()
        raise
    return made


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            # An IPv6 socket that also takes IPv4 would collide with the other socket.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def bind_or_exit(host: str | None, port: int, variable: str = "PORT") -> list[socket.socket]:
    """:func:`listening_sockets`, or one clear line on standard error and exit code 1."""
    try:
        return listening_sockets(host, port)
    except OSError as error:
        print(_why_not(error, host, port, variable), file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None


def _why_not(error: OSError, host: str | None, port: int, variable: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is already in use by another program: stop it or set {variable} to another one"
    if host is not None and (isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL):
        return f"HOST {host} is no address of this machine ({error.strerror}): set it to one, or leave it empty for all"
    return f"Port {port} cannot be used ({error.strerror}): set {variable} to another one"

"""Classifies a failed request: a stable reason code, and what it proves about the fault."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from enum import Enum

import aiohttp
import msgspec

from watchdog.probes.http1 import BadHttp, CutShort
from watchdog.probes.http_get import RedirectLoop


class Proof(Enum):
    """What a failure proves by itself."""

    TARGET = "target"  # the target's side answered: the fault is there
    SELF = "self"  # this machine could not even try
    NONE = "none"  # silence: only a self check can decide


class Failure(msgspec.Struct, frozen=True):
    """``retry``: another attempt within the same ping can help."""

    reason: str
    proof: Proof
    retry: bool
    detail: str = ""


_OWN = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}
_BY_ERRNO = {
    errno.ECONNREFUSED: Failure("connect_refused", Proof.TARGET, True),
    errno.ECONNRESET: Failure("connect_reset", Proof.TARGET, True),
    errno.EPIPE: Failure("connect_reset", Proof.TARGET, True),
    errno.ECONNABORTED: Failure("connect_reset", Proof.TARGET, True),
    errno.EHOSTUNREACH: Failure("unreachable", Proof.NONE, True),
    errno.EHOSTDOWN: Failure("unreachable", Proof.NONE, True),
    errno.ENETUNREACH: Failure("no_route", Proof.NONE, True),
    errno.ENETDOWN: Failure("no_route", Proof.NONE, True),
    errno.ETIMEDOUT: Failure("timeout", Proof.NONE, True),
}


class NotProven(aiohttp.ClientConnectionError):
    """Something answers without proof that it is the bot; WATCHDOG_TOKEN was not sent to it."""


def of(error: BaseException) -> Failure:
    """The failure for ``error``. Unknown kinds are ``error_<class>`` and prove nothing."""
    if isinstance(error, NotProven):
        return Failure("unproven", Proof.TARGET, False, str(error))
    for link in _chain(error):
        if isinstance(link, TimeoutError | asyncio.TimeoutError | aiohttp.ServerTimeoutError):
            return Failure("timeout", Proof.NONE, True)
        if isinstance(link, socket.gaierror):
            return _resolver(link)
        if isinstance(link, ssl.SSLError | aiohttp.ClientSSLError | ssl.CertificateError):
            return Failure("tls", Proof.TARGET, False, type(link).__name__)
        if isinstance(link, OSError) and link.errno in _BY_ERRNO:
            return _BY_ERRNO[link.errno]
        if isinstance(link, OSError) and link.errno in _OWN:
            return Failure(f"own_{errno.errorcode[link.errno].lower()}", Proof.SELF, False)
    if isinstance(error, CutShort | aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return Failure("disconnected", Proof.TARGET, True)
    if isinstance(error, RedirectLoop):
        return Failure("redirect_loop", Proof.TARGET, False)
    if isinstance(error, BadHttp | aiohttp.ClientResponseError | aiohttp.http_exceptions.HttpProcessingError):
        return Failure("bad_http", Proof.TARGET, True)
    if isinstance(error, aiohttp.ClientConnectionError):
        return Failure("disconnected", Proof.TARGET, True)
    return Failure(f"error_{type(error).__name__}", Proof.NONE, True)


def _resolver(error: socket.gaierror) -> Failure:
    if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
        # the resolver works and denies the name
        return Failure("dns_no_such_name", Proof.TARGET, True)
    return Failure("dns_unavailable", Proof.NONE, True)


def _chain(error: BaseException) -> list[BaseException]:
    """``error``, what it carries and what caused it, outermost first; bounded."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(seen) < 8:
        seen.append(link)
        inner = getattr(link, "os_error", None)
        nested = inner if isinstance(inner, BaseException) else None
        if isinstance(link, BaseExceptionGroup):
            nested = link.exceptions[0]
        link = nested if nested is not None and nested not in seen else link.__cause__
    return seen

"""The address of the other program's pages, as the reader of this page reaches it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web


def reached(request: web.Request, page: str) -> str:
    """``page`` without a slash at its end, or empty where the reader cannot reach it.

    A program that does not know its public address names one of its own machine: that is right only for
    a reader on the same machine.
    """
    try:
        there = urlsplit(page).hostname or ""
        here = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return ""
    return "" if is_local(there) and not is_local(here) else page.rstrip("/")


def is_local(host: str) -> bool:
    """Whether ``host`` names the machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Reads the proxy of a session as callers give it."""

from __future__ import annotations

from bot_service.access.principals import Principal
from bot_service.domain.proxy import Proxy
from bot_service.domain.refused import Refused, invalid
from shared.settings import url

LONGEST_PROXY = 500
_ADDRESS = url("http", "https", "socks5", userinfo=True)


def read(who: Principal, given: str | None, before: Proxy | None = None) -> Proxy | None:
    """The proxy instead of the one ``before``. None is none.

    Refused: ``invalid``; ``forbidden`` for keys of an owner: a proxy decides where this service
    connects to, and so does its removal.
    """
    if who.owner is not None and (given, before) != (None, None):
        raise Refused("forbidden", "only an administrator sets the proxy of a session")
    if given is None:
        return None
    try:
        return Proxy(_ADDRESS.parse(given))
    except (ValueError, KeyError):
        # The error of the parser may quote the address, with its password.
        raise invalid("proxy", f"must be {_ADDRESS.accepts}") from None

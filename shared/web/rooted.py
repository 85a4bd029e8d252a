"""Ports on which the paths of one part of an application begin at the root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from yarl import URL

from shared.web.expect import RequestFactory


def rooted(make: RequestFactory, prefixes: Mapping[int, str]) -> RequestFactory:
    """``make``, for which each path that came to a port has that port's prefix."""

    def factory(message: RawRequestMessage, payload: Any, protocol: Any, *args: Any) -> web.BaseRequest:
        prefix = prefixes.get(protocol.transport.get_extra_info("sockname")[1])
        if prefix is not None and message.path.startswith("/"):
            path = prefix + message.path
            message = message._replace(path=path, url=URL(path, encoded=True))
        return make(message, payload, protocol, *args)

    return factory

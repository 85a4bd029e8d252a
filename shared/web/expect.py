"""Answers ``Expect: 100-continue`` when a handler begins to read the body.

aiohttp answers it before any check of the caller, and so asks strangers for bodies that are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

_WAITS: web.RequestKey[bool] = web.RequestKey("client waits for 100 Continue", bool)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

RequestFactory = Callable[..., web.BaseRequest]


def deferred(make: RequestFactory) -> RequestFactory:
    """``make``, with a 100 Continue that waits for :func:`ask_for_body`."""

    def factory(message: RawRequestMessage, *args: Any) -> web.BaseRequest:
        if message.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
            return make(message, *args)  # aiohttp refuses other expectations
        headers = CIMultiDict(message.headers)
        del headers[hdrs.EXPECT]
        request = make(message._replace(headers=CIMultiDictProxy(headers)), *args)
        request[_WAITS] = message.version >= HttpVersion11
        return request

    return factory


async def ask_for_body(request: web.BaseRequest) -> None:
    """Send 100 Continue to a client that waits for it, once."""
    if request.get(_WAITS):
        request[_WAITS] = False
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer has not begun

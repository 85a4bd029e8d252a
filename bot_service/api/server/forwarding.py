"""Passes requests about sessions of other replicas on to their owners; without replicas there are none."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from bot_service.access.replica_hops import HOP_HEADER
from bot_service.domain.refused import RunsElsewhere
from bot_service.replicas.forwarding import Forwarding, OwnerUnreachable
from shared.web import errors
from shared.web.body import BODY, read_bytes
from shared.web.middleware import Handler


def forwarding(to_owner: Callable[[], Forwarding | None]) -> Middleware:
    """The middleware around everything that calls use cases. The caller was accepted before one of them says
    :class:`RunsElsewhere`, and is checked again by the owner: both know the same keys."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RunsElsewhere as error:
            # Never as it was sent: that may name another host.
            forward, path = to_owner(), request.rel_url.raw_path_qs
            if forward is None or forward.marks.good(request.headers.get(HOP_HEADER), request.method, path):
                # It comes from a replica that believed that this one owns the session: it is on its way.
                raise moving("this session changes its replica at the moment") from None
            try:
                answer = await forward(error.session, request.method, path, request.headers, await _body(request))
            except OwnerUnreachable as unreachable:
                raise moving(str(unreachable)) from None
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    return middleware


def moving(detail: str) -> errors.Problem:
    return errors.Problem(503, "session_moving", f"{detail}: try again", headers={hdrs.RETRY_AFTER: "1"})


async def _body(request: web.Request) -> bytes:
    read = request.get(BODY)
    return await read_bytes(request, request.client_max_size) if read is None else read

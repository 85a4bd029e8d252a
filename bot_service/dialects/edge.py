"""What requests of a dialect have of their own: where the key is, and the shape of a refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from shared.web import auth, errors
from shared.web.middleware import Handler


@dataclass(frozen=True, slots=True)
class Edge:
    """Of one dialect. ``shape`` answers a refusal. ``token`` finds a key that the request does not have
    where this service expects it."""

    prefixes: tuple[str, ...]
    shape: Callable[[errors.Problem], web.Response]
    token: Callable[[web.Request], str | None] = lambda _: None


class Edges:
    """Of the dialects that are turned on; other paths are as everywhere."""

    def __init__(self, *edges: Edge) -> None:
        self._edges = edges

    def shape_of(self, request: web.Request) -> Callable[[errors.Problem], web.Response] | None:
        edge = self._edge(request)
        return edge.shape if edge is not None else None

    @web.middleware
    async def tokens(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        edge = self._edge(request)
        if edge is not None and (given := edge.token(request)) is not None:
            request[auth.TOKEN] = given
        return await handler(request)

    def _edge(self, request: web.Request) -> Edge | None:
        return next((each for each in self._edges if request.path.startswith(each.prefixes)), None)

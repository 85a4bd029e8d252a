"""Answers to owners have the ids of sessions that the owners know, without marks (decision 0119)."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Collection

from aiohttp import hdrs, web

from bot_service.access.principals import Principal
from bot_service.domain.session_ids import without_mark


async def answer_with_own_ids(
    who: Principal, marked: Callable[[str], Collection[str]], answer: Awaitable[web.StreamResponse]
) -> web.StreamResponse:
    """``answer`` as ``who`` may see it. ``marked(owner)`` gives the ids that are stored with a mark: nearly always none.

    An event stream has begun when it comes here: it hides the marks in each event.
    """
    if who.owner is None:
        return await answer
    before = set(marked(who.owner))  # the request may delete a session, or create one
    response = await answer
    if not response.prepared:
        for stored in before.union(marked(who.owner)):
            _hide(response, stored)
    return response


def _hide(response: web.StreamResponse, stored: str) -> None:
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        if response.headers.get(hdrs.CONTENT_ENCODING) == "gzip":  # the pages are packed
            response.body = gzip.compress(without_mark(gzip.decompress(response.body), stored))
        else:
            response.body = without_mark(response.body, stored)
    if (location := response.headers.get(hdrs.LOCATION)) is not None:
        response.headers[hdrs.LOCATION] = without_mark(location.encode(), stored).decode()

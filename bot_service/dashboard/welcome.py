"""At the first start: the dashboard's address with a link that signs in once, on standard output.

It is printed at every start until somebody has signed in, and never through the log, which redacts such things.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from aiohttp import web

from bot_service.dashboard.context import DESK


def welcome(address: str) -> Callable[[web.Application], AsyncIterator[None]]:
    """For ``cleanup_ctx``, behind everything else: by then the service answers. ``address`` is where people reach it."""

    async def greet(app: web.Application) -> AsyncIterator[None]:
        desk = app[DESK]
        if not desk.signed_in_once.exists():
            print(  # noqa: T201
                f"\n    Dashboard: {address}/login?code={desk.links.make()}\n"
                "    The link signs you in once, within an hour. For another one: veilleur login-link\n",
                flush=True,
            )
        yield

    return greet

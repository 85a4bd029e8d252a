"""At the first start: the dashboard's address with a link that signs in once, on standard output.

It is printed at every start until somebody has signed in, and not through the log, which redacts
secrets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from aiohttp import web

from bot_service import keys
from bot_service.dashboard.context import DASHBOARD


def welcome(address: str) -> Callable[[web.Application], AsyncIterator[None]]:
    """For ``cleanup_ctx``, last: by then the service answers. ``address`` is its public URL."""

    async def greet(app: web.Application) -> AsyncIterator[None]:
        if not app[DASHBOARD].signed_in_once.exists():
            print(  # noqa: T201
                f"\n    Dashboard: {address}/login?code={app[keys.ACCESS].login_links.make(None)}\n"
                "    The link signs you in once, within an hour. For another one: veilleur login-link\n",
                flush=True,  # standard output is a LogStream in the program: this does not wait
            )
        yield

    return greet

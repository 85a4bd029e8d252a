"""An aiohttp server that does nothing else, beside the one that is measured: what it is late by is the machine's doing.

``python -m tests.bench.bare PORT``
"""

from __future__ import annotations

import sys

from aiohttp import web


async def health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def main() -> None:
    app = web.Application()
    app.router.add_get("/health", health)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()

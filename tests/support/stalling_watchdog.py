"""The watchdog with one fault built in: five seconds after its start the event loop blocks for a minute."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from watchdog import __main__ as program
from watchdog import app


def main() -> int:
    build = app.build_app

    def faulty(*args: Any, **how: Any) -> web.Application:
        built = build(*args, **how)

        async def stall(_app: web.Application) -> AsyncIterator[None]:
            import asyncio

            asyncio.get_running_loop().call_later(5.0, time.sleep, 60)
            yield

        built.cleanup_ctx.append(stall)
        return built

    setattr(program, "build_app", faulty)  # noqa: B010  (the program imports the name)
    return program.main()


if __name__ == "__main__":
    raise SystemExit(main())

"""``python -m bot_service``: settings, port, store, serve. Exit codes: 0 stopped, 1 cannot run, 2 wrong settings."""

from __future__ import annotations

import asyncio
import os
import sys

from bot_service.app import build_app
from bot_service.settings import BotSettings
from bot_service.store.database import StoreRefused
from shared import logs
from shared.settings import load_or_exit
from shared.web.server import bind_or_exit, serve


def main() -> int:
    os.umask(0o077)  # keys, pairings and messages: what is written here is nobody else's to read
    settings = load_or_exit(BotSettings)
    logs.configure(settings.log_format, settings.log_level)
    sockets = bind_or_exit(settings.host, settings.port)
    try:
        asyncio.run(serve(build_app(settings), sockets))
    except (StoreRefused, OSError) as error:
        print(f"The bot service cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        for sock in sockets:
            sock.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

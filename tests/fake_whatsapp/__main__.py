"""The fake server as a process: prints one JSON line with everything a test must know, then serves until it is ended.

python -m tests.fake_whatsapp FOLDER [--proxy-port N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from aiohttp import web

from tests.fake_whatsapp.control import Control
from tests.fake_whatsapp.server import FakeWhatsApp


async def serve(folder: Path, proxy_port: int) -> None:
    """Run until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = FakeWhatsApp(folder)
    await server.start(proxy_port)
    runner = web.AppRunner(Control(server).app(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    line = {
        "proxy": server.proxy_url,
        "ca": str(server.ca_file),
        "root": server.root_public.hex(),
        "control": f"http://127.0.0.1:{runner.addresses[0][1]}/",
    }
    print(json.dumps(line), flush=True)
    await ended.wait()
    await runner.cleanup()
    await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_whatsapp")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--proxy-port", type=int, default=0)
    parser.add_argument("--debug", action="store_true")
    arguments = parser.parse_args()
    level = logging.DEBUG if arguments.debug else logging.WARNING
    logging.getLogger("fake_whatsapp").setLevel(level)
    logging.basicConfig(stream=sys.stderr)
    asyncio.run(serve(arguments.folder, arguments.proxy_port))


if __name__ == "__main__":
    main()

"""Asks servers as the watchdog does, each time on a new connection, from a process of its own.

``python -m tests.attack.probe URL …`` asks each ten times a second until its standard input ends, then prints
``{url: [ms, …]}``. What fails or takes longer than five seconds counts as five seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import urlsplit

EVERY_S, PATIENCE_S = 0.1, 5.0


async def _once(host: str, port: int, path: str) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            took_s = loop.time() - began
            writer.close()
        return took_s * 1000 if answer.startswith(b"HTTP/1.1 200 ") else PATIENCE_S * 1000
    except (OSError, TimeoutError):
        return PATIENCE_S * 1000


async def _main(urls: list[str]) -> None:
    took: dict[str, list[float]] = {url: [] for url in urls}

    async def ask(url: str) -> None:
        parts = urlsplit(url)
        while True:
            took[url].append(await _once(str(parts.hostname), int(parts.port or 80), parts.path))
            await asyncio.sleep(EVERY_S)

    tasks = [asyncio.create_task(ask(url)) for url in urls]
    print("asking", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    print(json.dumps(took), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))

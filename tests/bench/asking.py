"""Asks servers for /health from a process of its own, so that neither load nor server holds up who measures.

``python -m tests.bench.asking URL …`` asks each twenty times a second until its standard input ends, then prints
``{"took": {url: [ms, …]}, "late": [ms, …]}``: the time of every answer, and how late this process itself came to ask.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass, field
from urllib.parse import urlsplit

EVERY_S = 0.05


@dataclass
class Answers:
    took: dict[str, list[float]] = field(default_factory=dict)
    late: list[float] = field(default_factory=list)


class Asking:
    """The process, from the outside: ``async with Asking(urls) as asking: …`` and then ``asking.answers``."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._process: asyncio.subprocess.Process | None = None
        self.answers = Answers()

    async def __aenter__(self) -> Asking:
        line = [sys.executable, "-m", "tests.bench.asking", *self._urls]
        pipe = subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*line, stdin=pipe, stdout=pipe, limit=2**26)
        assert self._process.stdout is not None
        await self._process.stdout.readline()  # it says when it begins
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        out, _errors = await self._process.communicate(b"")
        self.answers = Answers(**json.loads(out))


def told(took_ms: list[float]) -> str:
    """Percentiles for a person."""
    ordered = sorted(took_ms)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    return f"p50 {at(0.5):.1f}, p99 {at(0.99):.1f}, worst {ordered[-1]:.1f} ms"


async def _ask(url: str, answers: Answers) -> None:
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    took = answers.took.setdefault(url, [])
    due = loop.time()
    while True:
        due = max(due + EVERY_S, loop.time())
        await asyncio.sleep(due - loop.time())
        began = loop.time()
        answers.late.append((began - due) * 1000)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        took.append((loop.time() - began) * 1000)
        assert head.startswith(b"http/1.1 200"), head


async def _main(urls: list[str]) -> None:
    answers = Answers()
    tasks = [asyncio.create_task(_ask(url, answers)) for url in urls]
    print("asking", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    print(json.dumps({"took": answers.took, "late": answers.late}), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))

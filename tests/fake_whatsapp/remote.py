"""The fake server in a process of its own, driven through its control API: start it, make phones act, read what they saw."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

WAIT_S = 15.0
POLL_S = 0.03
ROOT = Path(__file__).resolve().parents[2]


class ControlError(Exception):
    """The fake server refused a deed."""


class Remote:
    """`async with Remote(folder) as server:`; `await server("send", sender=…, chat=…, body=…)` does one op of `Control`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None
        self.proxy = self.ca_file = self.root_hex = self.control = ""

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.fake_whatsapp", str(self._folder)),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
            )
        if self._process.stdout is None:
            raise RuntimeError("no output to read")
        async with asyncio.timeout(WAIT_S):
            line = json.loads(await self._process.stdout.readline())
        self.proxy, self.ca_file = line["proxy"], line["ca"]
        self.root_hex, self.control = line["root"], line["control"]
        self._http = aiohttp.ClientSession()

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def __aenter__(self) -> Remote:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def environment(self) -> dict[str, str]:
        """What an engine worker of a test needs so that it talks to this server and to nobody else."""
        return {
            **os.environ,
            "SSL_CERT_FILE": self.ca_file,
            "FAKE_WHATSAPP_ROOT_KEY": self.root_hex,
            "WHATSAPP_PROXY": self.proxy,
            "ENGINE_WORKER_COMMAND": f"{sys.executable} -m tests.fake_whatsapp.worker",
        }

    async def __call__(self, op: str, **body: Any) -> Any:
        """Do one deed; raises `ControlError` with the server's words."""
        if self._http is None:
            raise RuntimeError("the server is not started")
        async with self._http.post(self.control, json={"op": op, **body}) as response:
            answer = await response.json()
            if response.status != 200:
                raise ControlError(answer["error"])
            return answer

    async def wait(
        self, what: Callable[[], Awaitable[Any]], *, within_s: float = WAIT_S, poll_s: float = POLL_S
    ) -> Any:
        """The first answer of `what` that is true; raises `TimeoutError`."""
        end = time.monotonic() + within_s
        while not (found := await what()):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {within_s} s: {what}")
            await asyncio.sleep(poll_s)
        return found

    async def message_to(self, number: str, **parts: Any) -> dict[str, Any]:
        """Wait until this phone got a message with these parts, and return it."""

        async def look() -> dict[str, Any] | None:
            for entry in await self("inbox", number=number):
                if all(entry.get(name) == value for name, value in parts.items()):
                    found: dict[str, Any] = entry
                    return found
            return None

        result: dict[str, Any] = await self.wait(look)
        return result

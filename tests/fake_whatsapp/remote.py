"""The fake server in a process of its own, driven through its control API: start it, make phones act, read what they saw."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

WAIT_S = 60.0
POLL_S = 0.03
ROOT = Path(__file__).resolve().parents[2]


class ControlError(Exception):
    """The fake server refused a deed."""


class ServerProcess:
    """The process; it belongs to no event loop, so that many tests can share it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fake_whatsapp", str(folder)], stdout=subprocess.PIPE, stderr=log, cwd=ROOT
            )
        if self._process.stdout is None:
            raise RuntimeError("no output to read")
        self.told: dict[str, str] = json.loads(self._process.stdout.readline())

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=WAIT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Remote:
    """`async with Remote(process) as server:` begins with a clean server;
    `await server("send", sender=…, chat=…, body=…)` does one op of `Control`."""

    def __init__(self, process: ServerProcess) -> None:
        self.proxy, self.ca_file = process.told["proxy"], process.told["ca"]
        self.root_hex, self.control = process.told["root"], process.told["control"]
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Remote:
        self._http = aiohttp.ClientSession()
        await self("reset")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    def environment(self) -> dict[str, str]:
        """What an engine worker of a test needs so that it talks to this server and to nobody else."""
        return {
            **os.environ,
            "SSL_CERT_FILE": self.ca_file,
            "FAKE_WHATSAPP_ROOT_KEY": self.root_hex,
            "WHATSAPP_PROXY": self.proxy,
            "ENGINE_WORKER_COMMAND": self.worker_command,
        }

    @property
    def worker_command(self) -> str:
        """Sets the key itself, because a worker gets only the variables that the product needs."""
        return f"env FAKE_WHATSAPP_ROOT_KEY={self.root_hex} {sys.executable} -m tests.fake_whatsapp.worker"

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

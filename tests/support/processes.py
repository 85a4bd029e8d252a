"""The real programs as child processes: started, stopped, killed and frozen by their own process id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.support.ports import free_port as free_port
from tests.support.start_server import StartedProgram, inherited, start_server
from tests.support.template import empty_store, store_environment
from tests.support.waiting import PATIENCE_S, eventually

ROOT = Path(__file__).resolve().parents[2]
# Tests fork programs from one that has imported them (tests/support/start_server.py); measurements start them as they are.
FORKED = False
API_KEY = "test-api-key-0123456789abcdef"
WATCHDOG_TOKEN = "test-watchdog-token-0123456789"
# Settings with which a watchdog decides within seconds.
QUICK: dict[str, Any] = {
    "KEEP_ALIVE_INTERVAL": "2000",
    "KEEP_ALIVE_RETRY_INTERVAL": "200",
    "KEEP_ALIVE_TIMEOUT": "2000",
    "KEEP_ALIVE_DOWN_INTERVAL": "500",
    "KEEP_ALIVE_PUSH_INTERVAL": "1000",
    "HEARTBEAT_INTERVAL": "500",
}


class Program:
    """One program. ``output()`` is all it printed; every process it started is in its own group where it says so."""

    def __init__(
        self, module: str, env: dict[str, str], *, log: Path, cwd: Path = ROOT, arguments: tuple[str, ...] = ()
    ) -> None:
        self.module, self.env, self.log, self.cwd, self.arguments = module, env, log, cwd, arguments
        self.process: subprocess.Popen[bytes] | StartedProgram | None = None
        # For tests of the start itself, of memory and of limits, which must not begin with what another process has imported.
        self.own_interpreter = not FORKED
        # Where it is started and reached, for a program in a network of its own (tests/support/namespaces.py).
        self.prefix: list[str] = []
        self.address = "127.0.0.1"

    @property
    def port(self) -> int:
        return int(self.env["PORT"])

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it; output is appended to the log file."""
        environment = {**inherited(), "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **self.env}
        forked = not (self.own_interpreter or self.prefix) and start_server().serves(self.module, environment)
        with self.log.open("ab") as out:
            if forked:
                self.process = start_server().start(self.module, self.arguments, environment, self.cwd, out.fileno())
                return
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", self.module, *self.arguments],
                cwd=self.cwd,
                env=environment,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
            )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Inside, it is started and ready; afterwards it is ended for good. A bot service begins with an empty store."""
        if self.module == "bot_service":
            empty_store(Path(self.env["DATA_DIR"]))
        self.start()
        try:
            await self.ready()
            yield self
        finally:
            self.close()

    async def ready(self, path: str = "/health", *, within_s: float = PATIENCE_S) -> None:
        """Wait until ``path`` answers 200; a program that ended says so at once, with its output."""
        async with aiohttp.ClientSession() as http:

            async def answers() -> bool:
                if self.process is not None and self.process.poll() is not None:
                    raise RuntimeError(f"{self.module} ended with {self.process.returncode}:\n{self.output()[-4000:]}")
                try:
                    async with http.get(self.url + path, timeout=aiohttp.ClientTimeout(total=2)) as response:
                        return response.status == 200
                except (aiohttp.ClientError, TimeoutError):
                    return False

            await eventually(answers, within_s=within_s, every_s=0.05, what=f"{self.module} answering 200 on {path}")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(timeout=PATIENCE_S)

    async def exit_code(self, *, within_s: float = PATIENCE_S) -> int:
        """Wait for the end; asserts when it does not come."""
        process = self.process
        assert process is not None

        def ended() -> bool:
            return process.poll() is not None

        await eventually(ended, within_s=within_s, what=f"the end of {self.module}")
        assert process.returncode is not None
        return process.returncode

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def events(self) -> list[dict[str, Any]]:
        """Every JSON line of the log."""
        lines = []
        for line in self.output().splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    lines.append(value)
        return lines

    def close(self) -> None:
        """End it for good, whatever state it is in, with the workers it left in ``DATA_DIR/run``."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
                self.process.terminate()
            try:
                self.process.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=PATIENCE_S)
        self._end_workers()

    def kill_workers(self) -> list[int]:
        """SIGKILL every engine worker this program started; returns their process ids."""
        return self._end_workers()

    def worker_pids(self) -> list[int]:
        """Process ids from the workers' own records in ``DATA_DIR/run``, those that are alive."""
        pids = []
        for record in sorted(Path(self.env["DATA_DIR"]).glob("run/*.json")):
            with contextlib.suppress(ValueError, KeyError, OSError):
                pid = int(json.loads(record.read_text())["pid"])
                if Path(f"/proc/{pid}/cmdline").read_bytes():
                    pids.append(pid)
        return pids

    def _end_workers(self) -> list[int]:
        ended = self.worker_pids() if "DATA_DIR" in self.env else []
        for pid in ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return ended


def bot(tmp_path: Path, *, port: int | None = None, name: str = "bot", **env: str) -> Program:
    """The bot service with the simulator, JSON logs and a data folder of its own."""
    data_dir = tmp_path / f"{name}-data"
    settings = {
        "PORT": str(port or free_port()),
        "HOST": "127.0.0.1",
        "DATA_DIR": str(data_dir),
        **store_environment(data_dir),
        "ENGINE": "simulator",
        "BOT_API_KEY": API_KEY,
        "WATCHDOG_TOKEN": WATCHDOG_TOKEN,
        "LOG_FORMAT": "json",
        # No test looks at a page outside.
        "WHATSAPP_VERSION": "builtin",
        **env,
    }
    return Program("bot_service", settings, log=tmp_path / f"{name}.log")


def watchdog(tmp_path: Path, bot_url: str, *, port: int | None = None, name: str = "watchdog", **env: str) -> Program:
    """The watchdog of ``bot_url`` with JSON logs and a data folder of its own."""
    settings = {
        "PORT": str(port or free_port()),
        "HOST": "127.0.0.1",
        "DATA_DIR": str(tmp_path / f"{name}-data"),
        "BOT_URL": bot_url,
        "WATCHDOG_TOKEN": WATCHDOG_TOKEN,
        "LOG_FORMAT": "json",
        "KEEP_ALIVE_START_DELAY": "100",
        **env,
    }
    return Program("watchdog", settings, log=tmp_path / f"{name}.log")


class Client:
    """A JSON client of one program."""

    def __init__(self, url: str, key: str = API_KEY) -> None:
        self.url = url
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"}, timeout=aiohttp.ClientTimeout(total=PATIENCE_S)
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()
        await asyncio.sleep(0)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """(status, parsed JSON or text). Raises ``aiohttp.ClientError`` when nothing answers."""
        async with self._http.request(method, self.url + path, json=body, headers=headers) as response:
            raw = await response.read()
            try:
                return response.status, json.loads(raw)
            except ValueError:
                return response.status, raw.decode(errors="replace")

    async def get(self, path: str) -> Any:
        """The JSON of a 200; asserts on any other status."""
        status, value = await self.call("GET", path)
        assert status == 200, f"GET {path}: {status} {value}"
        return value

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of any 2xx; asserts on any other status."""
        status, value = await self.call("POST", path, body, **headers)
        assert 200 <= status < 300, f"POST {path}: {status} {value}"
        return value

"""Runs the bot service and the watchdog side by side on this machine, until Ctrl-C stops both.

Usage: ``python -m shared.tools.local_run``. Variables come from the environment, else from the file
``.env`` in the current folder. The bot service listens on PORT (3000), the watchdog on
WATCHDOG_PORT (3001); it pings BOT_URL, or the bot service beside it. A killed or hung program is
started again, as a container platform would do; one that refuses its configuration or its port ends
both, and the settings of the other are reported with those that were refused. Both end with this process, however it ends: also when its terminal closes, or by SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.file_lock import is_locked, lock_file
from shared.settings import environment, integer, load_or_exit, path, setting, text, url
from shared.settings_spelling import misspelt
from shared.stop_signals import stop_signals
from shared.tools.dotenv import read_dotenv
from shared.web.ports import bind_or_exit

STOP_WITHIN_S = 20.0
RESTART_DELAY_S = 1.0
# Another start would end the same way: a clean end, a port in use, a wrong variable.
WRONG_SETTINGS = 2
FINAL_CODES = frozenset({0, 1, WRONG_SETTINGS})
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class LocalRunSettings:
    """The variables of the local run itself."""

    host: str | None = setting("HOST", text(), default=None, about="Address to listen on")
    port: int = setting("PORT", integer(1, 65535), default=3000, about="Port of the bot service")
    watchdog_port: int = setting("WATCHDOG_PORT", integer(1, 65535), default=3001, about="Port of the watchdog")
    bot_url: str | None = setting("BOT_URL", url(), default=None, about="What the watchdog pings")
    status_page_url: str | None = setting("STATUS_PAGE_URL", url(), default=None, about="Status page for people")
    started_with: str | None = setting("STARTED_WITH", text(), default=None, about="Command that a person typed")
    data_dir: Path = setting(
        "DATA_DIR", path(), default=Path("./data"), about="Folder for the database, keys and sessions"
    )


@dataclass(frozen=True, kw_only=True)
class Program:
    """One child process; ``name`` is for messages. ``check`` are arguments with which it only reads its settings."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    check: Sequence[str] = ()


def programs(environ: Mapping[str, str]) -> list[Program]:
    """Both programs with their environments; exit code 2 when a variable cannot be used."""
    settings = load_or_exit(LocalRunSettings, environ)
    common = {"PYTHONUNBUFFERED": "1", **environ}
    bot = {
        **common,
        "PORT": str(settings.port),
        "STATUS_PAGE_URL": settings.status_page_url or f"http://localhost:{settings.watchdog_port}/",
        "STARTED_WITH": settings.started_with or "make up",
    }
    watchdog = {
        **common,
        "PORT": str(settings.watchdog_port),
        "BOT_URL": settings.bot_url or f"http://127.0.0.1:{settings.port}",
    }
    if "BOT_URLS" in environ and settings.bot_url is None:
        del watchdog["BOT_URL"]
    check = ("--check-settings",)
    return [
        Program(name="bot_service", command=(sys.executable, "-m", "bot_service"), environ=bot, check=check),
        Program(name="watchdog", command=(sys.executable, "-m", "watchdog"), environ=watchdog, check=check),
    ]


async def run(children: Sequence[Program]) -> int:
    """Keep every child running until a signal or a final exit code; returns the exit code.

    SIGINT, SIGTERM, SIGHUP and SIGQUIT stop all and give 0; a child that ends with a final code stops the others and
    gives that code. When it refused its settings, the others report what they refuse of theirs before this returns.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (*stop_signals(), signal.SIGQUIT):
        loop.add_signal_handler(name, stop.set)
    asked = asyncio.create_task(stop.wait(), name="stop asked")
    end_with_parent = _end_with_parent()
    last_codes: dict[str, int | None] = {}
    keepers = {asyncio.create_task(_keep(child, end_with_parent, last_codes), name=child.name) for child in children}
    try:
        done, _ = await asyncio.wait({asked, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        code = 0 if asked in done else max(task.result() for task in keepers & done)
    finally:
        for task in (asked, *keepers):
            task.cancel()
        await asyncio.gather(asked, *keepers, return_exceptions=True)
    if code == WRONG_SETTINGS:
        await asyncio.gather(*(_check(child) for child in children if last_codes.get(child.name) != WRONG_SETTINGS))
    return code


async def _check(child: Program) -> None:
    """Lets ``child`` print which of its settings cannot be used."""
    if child.check:
        process = await asyncio.create_subprocess_exec(*child.command, *child.check, env=dict(child.environ))
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _end_with_parent() -> Callable[[], None] | None:
    """For a child between fork and exec: the kernel sends it SIGTERM when this process dies."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return in_child


async def _keep(child: Program, end_with_parent: Callable[[], None] | None, last_codes: dict[str, int | None]) -> int:
    while True:
        # In a session of its own: Ctrl-C reaches this process alone, which stops each child once.
        process = await asyncio.create_subprocess_exec(
            *child.command, env=dict(child.environ), start_new_session=True, preexec_fn=end_with_parent
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _end(child, process)
            raise
        finally:
            last_codes[child.name] = process.returncode
        if code in FINAL_CODES:
            return code
        why = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        _say(f"{child.name} {why}; it is started again")
        await asyncio.sleep(RESTART_DELAY_S)


async def _end(child: Program, process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
    except TimeoutError:
        _say(f"{child.name} did not stop within {STOP_WITHIN_S:g} s and is killed")
        process.kill()
        await process.wait()


def wait_for_earlier_run(data_dir: Path) -> int | None:
    """Waits for programs of a run that was killed, which still stop; the lock of this run.

    A run that is alive is not waited for: the programs refuse to start beside it.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = lock_file(data_dir / "local-run.lock")
    except OSError:
        return None
    locks = [data_dir / "bot.lock", data_dir / "watchdog.db.lock"]
    deadline = time.monotonic() + STOP_WITHIN_S
    if any(map(is_locked, locks)):
        _say("waiting for the programs of an earlier run to end")
        while any(map(is_locked, locks)) and time.monotonic() < deadline:
            time.sleep(0.1)
    return lock


def check_ports(settings: LocalRunSettings) -> None:
    """Ends with exit code 1 when a port is in use. Only here is it known which variable sets the watchdog's."""
    for port, variable in ((settings.port, "PORT"), (settings.watchdog_port, "WATCHDOG_PORT")):
        for sock in bind_or_exit(settings.host, port, variable):
            sock.close()


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be closed
        print(f"[local run] {text}", flush=True)  # noqa: T201


def main() -> None:
    try:
        environ = {**read_dotenv(Path(".env")), **environment()}
    except ValueError as error:
        print(f"Configuration error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
    children = programs(environ)
    settings = load_or_exit(LocalRunSettings, environ)
    for each in misspelt(LocalRunSettings, environ):
        if each.meant == "WATCHDOG_PORT":  # the programs know the others, and say so themselves
            _say(str(each))
    # The lock ends with this process.
    _lock = wait_for_earlier_run(settings.data_dir)
    check_ports(settings)
    _say(f"starting the bot service on port {settings.port} and the watchdog on port {settings.watchdog_port}")
    raise SystemExit(asyncio.run(run(children)))


if __name__ == "__main__":
    main()

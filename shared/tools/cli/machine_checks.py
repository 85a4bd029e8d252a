"""Checks the machine and the running programs: folders, space, clocks, answers."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from shared.clock import SystemClock
from shared.contract.health import program_of
from shared.contract.identity import BOT, WATCHDOG
from shared.doctor import Check, CheckStatus, Context
from shared.tools.cli import needs

_PROGRAMS = {"bot service": BOT, "watchdog": WATCHDOG}
MACHINE, REACH = "This machine", "Both programs"
FREE_BYTES = 500 * 1024 * 1024
CLOCK_APART_S = 5.0


def checks(context: Context) -> Iterator[Check]:
    yield from _folders(context)
    yield from _programs(context)


def _folders(context: Context) -> Iterator[Check]:
    data = Path(context.environ.get("DATA_DIR") or "./data")
    yield _writable("data folder", data, "DATA_DIR")
    given = context.environ.get("SECRETS_DIR")
    secrets = Path(given) if given else data / "secrets"
    yield _writable("secrets folder", secrets, "SECRETS_DIR")
    if secrets.is_dir():
        yield _closed(secrets)
    existing = next((each for each in (data, *data.absolute().parents) if each.exists()), Path("/"))
    free = shutil.disk_usage(existing).free
    shown = f"{free / 1024**3:.1f} GiB free beside {data}"
    if free < FREE_BYTES:
        yield Check(
            MACHINE, "free space", CheckStatus.FAILED, shown, "free at least 0.5 GiB: a full disk stops messages"
        )
    else:
        yield Check(MACHINE, "free space", CheckStatus.OK, shown)


def _writable(name: str, folder: Path, variable: str) -> Check:
    if not folder.exists():
        parent = next((each for each in folder.absolute().parents if each.exists()), Path("/"))
        if _takes_folders(parent):
            return Check(MACHINE, name, CheckStatus.INFO, f"{folder} is not there yet; it is made at the first start")
        todo = f"make {folder} and give it to uid {os.geteuid()}, or set {variable} to another folder"
        return Check(MACHINE, name, CheckStatus.FAILED, f"{folder} is not there and cannot be made", todo)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        todo = f"give it to uid {os.geteuid()}, or run this as the user of the programs"
        return Check(MACHINE, name, CheckStatus.FAILED, f"{folder} cannot be written by uid {os.geteuid()}", todo)
    return Check(MACHINE, name, CheckStatus.OK, f"{folder} can be written")


def _takes_folders(parent: Path) -> bool:
    # Tried: the rights alone say nothing where root asks, or of a file system such as /proc.
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".veilleur-", dir=parent))
    except OSError:
        return False
    return True


def _closed(folder: Path) -> Check:
    open_to_others = [
        path.name
        for path in (folder, *(each for each in folder.iterdir() if each.is_file()))
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if open_to_others:
        todo = f"chmod 700 {folder}; chmod 600 {folder}/*"
        found = f"others can read {', '.join(sorted(open_to_others))}"
        return Check(MACHINE, "secrets", CheckStatus.WARNING, found, todo)
    return Check(MACHINE, "secrets", CheckStatus.OK, "only their owner can read them")


def _programs(context: Context) -> Iterator[Check]:
    for name, url in (("bot service", context.bot_url), ("watchdog", context.watchdog_url)):
        try:
            status, health, date = context.fetch(f"{url}/health")
        except OSError as error:
            variable = "BOT_URL" if name == "bot service" else "WATCHDOG_URL"
            todo = f"start it, or set {variable} to where it runs"
            yield Check(REACH, name, CheckStatus.FAILED, f"{url} does not answer: {error}", todo)
            continue
        yield _health(name, url, status, health)
        proved = context.proves(url, _PROGRAMS[name])
        if proved is not None:
            yield _identity(name, proved)
        number = needs.count(health) if isinstance(health, dict) else 0
        if number:
            todo = "veilleur status says which ones and what to do"
            yield Check(REACH, "sessions", CheckStatus.WARNING, needs.sentence(number), todo)
        if date:
            yield _clock(name, date)
    yield from _keepalive(context)


def _health(name: str, url: str, status: int, health: Any) -> Check:
    program = program_of(health)
    if status == 200 and program != _PROGRAMS[name]:
        variable = "BOT_URL" if name == "bot service" else "WATCHDOG_URL"
        found = (
            f"{url} answers, but not as the {name}: {f'it is the {program}' if program else 'it is another program'}"
        )
        return Check(REACH, name, CheckStatus.FAILED, found, f"set {variable} to the address of the {name}")
    if status == 200:
        return Check(REACH, name, CheckStatus.OK, f"{url} answers and is healthy")
    reasons = health.get("reasons", []) if isinstance(health, dict) else []
    found = f"{url} answers {status}: {', '.join(reasons) or 'no reason given'}"
    return Check(REACH, name, CheckStatus.FAILED, found, "look for the reason in its log, then in docs/operations.md")


def _identity(name: str, proved: bool) -> Check:
    if proved:
        return Check(REACH, f"identity of the {name}", CheckStatus.OK, "it proves that it holds this WATCHDOG_TOKEN")
    todo = "give both programs the same WATCHDOG_TOKEN (or the same SECRETS_DIR) and the same version"
    found = "it does not prove that it holds this WATCHDOG_TOKEN: no heartbeat, no statistics"
    return Check(REACH, f"identity of the {name}", CheckStatus.FAILED, found, todo)


def _clock(name: str, date: str) -> Check:
    apart_s = abs((parsedate_to_datetime(date) - SystemClock().now()).total_seconds())
    if apart_s > CLOCK_APART_S:
        todo = "run a time service (NTP) on both machines: pairing and times in alerts depend on it"
        return Check(REACH, f"clock of the {name}", CheckStatus.WARNING, f"{apart_s:.0f} s away from this one", todo)
    return Check(REACH, f"clock of the {name}", CheckStatus.OK, "agrees with this one")


def _keepalive(context: Context) -> Iterator[Check]:
    try:
        status, value, _ = context.fetch(f"{context.bot_url}/api/keepalive")
    except OSError:
        return
    if status != 200 or not isinstance(value, dict):
        yield Check(REACH, "keep-alive", CheckStatus.INFO, f"statistics are closed to this check (status {status})")
    elif value.get("isRunning") and not value.get("stale"):
        shown = f"running: {value.get('pingCount')} pings, {value.get('successRate')} % answered"
        yield Check(REACH, "keep-alive", CheckStatus.OK, shown)
    else:
        todo = "start the watchdog with KEEP_ALIVE_ENABLED=true and the same WATCHDOG_TOKEN as the bot service"
        yield Check(REACH, "keep-alive", CheckStatus.FAILED, "the watchdog does not report to the bot service", todo)

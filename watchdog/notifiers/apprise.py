"""Alerts by any service of apprise, which runs in a process of its own (decision 0131)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Protocol

from shared import logs
from shared.settings import Secret, environment
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice, NoticeKind
from watchdog.notifiers.apprise_process import LONGEST_ANSWER, LONGEST_REQUEST
from watchdog.notifiers.channel import digest

log = logs.get(__name__)

_GOOD = frozenset(kind for kind in NoticeKind if kind.endswith("_over")) - {NoticeKind.BLIND_OVER} | {NoticeKind.UP}
_CALM = frozenset({NoticeKind.TEST, NoticeKind.RESTARTED, NoticeKind.BLIND_OVER})
_GRAVE = frozenset({NoticeKind.DOWN, NoticeKind.REPAIR_BUDGET_SPENT, NoticeKind.ATTENTION})

SEND_LIMIT_S = 12.0
# After the time limit the kernel has ended the child; its end is seen within this time.
END_SEEN_S = 1.0
CHECK_LIMIT_S = 60.0
LONGEST_TEXT = 16_000
_PROGRAM = (sys.executable, "-m", "watchdog.notifiers.apprise_process")
# No key, token or alert address is among them: plugins do not need those of others.
_VARIABLES = frozenset(
    {
        "PATH", "HOME", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ",
        "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    }
)  # fmt: skip


def _visible_environment() -> dict[str, str]:
    """The variables that the process may see."""
    return {name: value for name, value in environment().items() if name in _VARIABLES}


def unusable(urls: Sequence[str]) -> list[str]:
    """Blocks for a second. Why apprise cannot use each of ``urls``; empty for those that it can.

    An answer that does not come in time is no reason not to start.
    """
    try:
        ended = subprocess.run(
            [*_PROGRAM, "--check"],
            input=json.dumps(list(urls)).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_visible_environment(),
            timeout=CHECK_LIMIT_S,
            check=True,
        )
        found: list[str] = json.loads(ended.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning(
            "The alert addresses could not be checked", event_name="alerts.unchecked", error=type(error).__name__
        )
        return [""] * len(urls)
    return found


class SendsByApprise(Protocol):
    """Sends one alert; see :class:`AppriseProcess`."""

    async def send(self, url: str, title: str, text: str, level: str) -> str: ...


class AppriseProcess:
    """Starts the process, and again when it is gone. One for all channels of a program."""

    def __init__(self, *, limit_s: float = SEND_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Early, so that apprise is imported before the first alert."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                _PROGRAM,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_visible_environment(),
                start_new_session=True,  # Ctrl-C of a terminal is for the watchdog, which may still send
            )
        self._socket = ours

    def close(self) -> None:
        """It ends when its socket does; alerts on their way are still sent."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None

    async def send(self, url: str, title: str, text: str, level: str) -> str:
        """``ok``, ``timeout``, or why not; never raises for what a plugin or a receiver does."""
        until_s = time.monotonic() + self._limit_s
        request = {"url": url, "title": title, "text": text[:LONGEST_TEXT], "level": level, "until_s": until_s}
        raw = json.dumps(request).encode()
        read_end, write_end = os.pipe()
        with open(read_end, "rb", buffering=0) as answers:  # noqa: ASYNC230  a pipe
            try:
                self.start()
                if self._socket is None or len(raw) > LONGEST_REQUEST:
                    return "apprise_unreachable"
                socket.send_fds(self._socket, [raw], [write_end])
            except OSError:
                return "apprise_unreachable"
            finally:
                os.close(write_end)
            answer = await _read(answers, self._limit_s + END_SEEN_S)
        if answer:
            return answer
        return "timeout" if time.monotonic() >= until_s else "apprise_died"


async def _read(pipe: object, limit_s: float) -> str:
    """The answer; empty when the child ended without one, or did not end in time."""
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=LONGEST_ANSWER)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                return (await reader.read(LONGEST_ANSWER)).decode("ascii", "replace")
        return ""
    finally:
        transport.close()


def level_of(kind: NoticeKind) -> str:
    """One of apprise's four levels."""
    if kind in _GRAVE:
        return "failure"
    return "success" if kind in _GOOD else "info" if kind in _CALM else "warning"


class AppriseNotifier:
    """One apprise URL. The label shows only its scheme: the host may be a token."""

    def __init__(self, url: Secret, process: SendsByApprise) -> None:
        self._url, self._process = url, process
        self.channel = digest(url)
        self.label = f"{url.reveal().partition('://')[0]} {self.channel[:4]}"

    async def send(self, notice: Notice) -> Delivered:
        reason = await self._process.send(self._url.reveal(), notice.title, notice.text, level_of(notice.kind))
        return Delivered(reason == "ok", reason)

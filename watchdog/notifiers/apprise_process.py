"""The process that sends alerts by apprise (decision 0131): ``python -m watchdog.notifiers.apprise_process``.

Plugins of apprise read what receivers answer without a limit of their own. This process imports
apprise once and forks a child for each alert, with a limit of time and of memory. The socket to the
watchdog is its standard input; each message is JSON with a descriptor for the answer.
With ``--check`` it reads a JSON list of addresses and writes why apprise cannot use each.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

LONGEST_REQUEST = 128 * 1024
LONGEST_ANSWER = 100
# What a child may use beyond what it shares with this process.
CHILD_BYTES = 192 * 1024 * 1024
CHILD_FILES = 64
CHILD_FILE_BYTES = 16 * 1024 * 1024


def main(arguments: list[str]) -> None:
    if arguments == ["--check"]:
        print(json.dumps([unusable(url) for url in json.load(sys.stdin)]))  # noqa: T201
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel removes children that ended
    service = _apprise()
    if service is not None:
        service.instantiate("json://localhost")  # imports all plugins: a child would need half a second for them
    watchdog = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # no child reads the requests of others
    while True:
        request, descriptors, _, _ = socket.recv_fds(watchdog, LONGEST_REQUEST, 1)
        if not request:
            return  # the watchdog is gone
        if os.fork() == 0:
            watchdog.close()
            _answer(service, request, descriptors[0])
        for descriptor in descriptors:
            os.close(descriptor)


def unusable(url: str) -> str:
    """Why apprise cannot use ``url``, without the address; empty when it can."""
    service = _apprise()
    if service is None:
        return "needs the package apprise, which is not installed"
    try:
        made = service.instantiate(url)
    except Exception:  # a plugin may raise anything about an address
        made = None
    return "" if made is not None else "cannot be used by apprise: a token, a name or a host is missing or wrong"


def _apprise() -> Any:
    """The service, or None where apprise is not installed. Its own log is off: it contains addresses."""
    try:
        module: Any = importlib.import_module("apprise")
    except ImportError:
        return None
    own_log = logging.getLogger("apprise")
    own_log.propagate, own_log.disabled = False, True
    return module.Apprise()


def _answer(service: Any, raw: bytes, answer: int) -> None:
    """In the child: send, write one word and end. At the time limit the kernel ends it."""
    reason = "apprise_died"
    try:
        request = json.loads(raw)
        left_s = request["until_s"] - time.monotonic()
        if left_s > 0:
            signal.setitimer(signal.ITIMER_REAL, left_s)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # plugins may start programs
            _limit_resources()
            reason = _send(service, request)
        os.write(answer, reason.encode()[:LONGEST_ANSWER])
    finally:
        os._exit(0)


def _limit_resources() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        most = pages * resource.getpagesize() + CHILD_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (CHILD_FILES, CHILD_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (CHILD_FILE_BYTES, CHILD_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(service: Any, request: dict[str, Any]) -> str:
    if service is None:
        return "apprise_missing"
    try:
        if not service.add(request["url"]):
            return "apprise_unknown_url"
        sent = service.notify(
            title=request["title"], body=request["text"], notify_type=request["level"], body_format="text"
        )
    except Exception as error:
        return f"apprise_{type(error).__name__}"
    return "ok" if sent else "apprise_refused"


if __name__ == "__main__":
    main(sys.argv[1:])

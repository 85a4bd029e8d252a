"""Alerts by any service of apprise, which is imported at the first send, in a thread.

A thread cannot be stopped from outside: while one hangs, the channel starts no other.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from shared.settings import Secret
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice, NoticeKind
from watchdog.notifiers.channel import digest

_GOOD = frozenset(kind for kind in NoticeKind if kind.endswith("_over")) - {NoticeKind.BLIND_OVER} | {NoticeKind.UP}
_CALM = frozenset({NoticeKind.TEST, NoticeKind.RESTARTED, NoticeKind.BLIND_OVER})
_GRAVE = frozenset({NoticeKind.DOWN, NoticeKind.REPAIR_BUDGET_SPENT, NoticeKind.ATTENTION})

Send = Callable[[str, str, str, str], str]


def unusable(url: str) -> str:
    """Blocks. Why apprise cannot use ``url``, without the address; empty when it can."""
    try:
        service = _apprise()
    except ImportError:
        return "needs the package apprise, which is not installed"
    try:
        made = service.instantiate(url)
    except Exception:  # a plugin may raise anything about an address
        made = None
    return "" if made is not None else "cannot be used by apprise: a token, a name or a host is missing or wrong"


def _apprise() -> Any:
    """The service; its own log is off, because it contains addresses. Raises ``ImportError``."""
    module: Any = importlib.import_module("apprise")
    own_log = logging.getLogger("apprise")
    own_log.propagate, own_log.disabled = False, True
    return module.Apprise()


def send_by_apprise(url: str, title: str, text: str, level: str) -> str:
    """Blocks. ``ok``, ``apprise_missing``, ``apprise_unknown_url`` or ``apprise_refused``."""
    try:
        service = _apprise()
    except ImportError:
        return "apprise_missing"
    if not service.add(url):
        return "apprise_unknown_url"
    return "ok" if service.notify(title=title, body=text, notify_type=level, body_format="text") else "apprise_refused"


def level_of(kind: NoticeKind) -> str:
    """One of apprise's four levels."""
    if kind in _GRAVE:
        return "failure"
    return "success" if kind in _GOOD else "info" if kind in _CALM else "warning"


class AppriseNotifier:
    """One apprise URL. The label shows only its scheme: the host may be a token."""

    def __init__(self, url: Secret, *, send: Send = send_by_apprise, timeout_s: float = 12.0) -> None:
        self._url, self._send, self._timeout_s = url, send, timeout_s
        self._thread: threading.Thread | None = None
        self.channel = digest(url)
        self.label = f"{url.reveal().partition('://')[0]} {self.channel[:4]}"

    async def send(self, notice: Notice) -> Delivered:
        if self._thread is not None and self._thread.is_alive():
            return Delivered(False, "apprise_still_busy")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def run() -> None:
            try:
                reason = self._send(self._url.reveal(), notice.title, notice.text, level_of(notice.kind))
            except Exception as error:
                reason = f"apprise_{type(error).__name__}"
            try:
                loop.call_soon_threadsafe(_set, answer, reason)
            except RuntimeError:  # the loop has ended: no caller waits any more
                pass

        # A daemon thread: a hanging service cannot keep the process alive.
        self._thread = threading.Thread(target=run, name=f"apprise-{self.channel}", daemon=True)
        self._thread.start()
        try:
            reason = await asyncio.wait_for(answer, self._timeout_s)
        except TimeoutError:
            return Delivered(False, "timeout")
        return Delivered(reason == "ok", reason)


def _set(answer: asyncio.Future[str], reason: str) -> None:
    if not answer.done():
        answer.set_result(reason)

"""The one sentence about how many sessions are ready, for pages and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.translation import ENGLISH
from shared.web.ui.words import Words


def sessions_ready(t: Words, *, ready: int, running: int, total: int) -> str:
    """``3 of 8 running sessions ready, 994 stopped``.

    ``running``: sessions that should run, ``ready``: those of them that are READY.
    """
    if total == 0:
        return t("No session yet")
    if running == 0:
        sentence = t("No session is running")
    elif running == 1:
        sentence = t("1 session is ready") if ready else t("The session is not ready")
    else:
        sentence = t.many(
            ready, "{n} of {running} running sessions ready", "{n} of {running} running sessions ready",
            running=t.number(running),
        )  # fmt: skip
    stopped = total - running
    return sentence + (", " + t.many(stopped, "{n} stopped", "{n} stopped") if stopped > 0 else "")


def of_health(sessions: Mapping[str, Any]) -> str:
    """The English sentence of the ``sessions`` in an answer of ``/health``, which may be of an older bot."""
    total, ready = (_count(sessions.get(name)) for name in ("total", "ready"))
    running = _count(sessions["wanted"]) if "wanted" in sessions else total
    return sessions_ready(Words("en", ENGLISH), ready=ready, running=running, total=total)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0

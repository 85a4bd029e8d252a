"""The library's words for what went wrong, as codes that the rest of this program knows."""

from __future__ import annotations

import re

from bot_service.engines.port import EngineError
from shared.redact import redact_text

_SERVER_ERROR = re.compile(r"server returned error (\d+)")
TIME_LOCK = "463"


def translate(words: str) -> EngineError:
    """An error with a stable code; the detail holds no numbers of people."""
    detail = redact_text(words)[:300]
    found = _SERVER_ERROR.search(words)
    if found is not None:
        return EngineError("timelocked" if found[1] == TIME_LOCK else "rejected", detail)
    lowered = words.lower()
    if "timed out" in lowered or "deadline exceeded" in lowered:
        return EngineError("timeout", detail, retryable=True)
    if (
        "not logged in" in lowered
        or "not connected" in lowered
        or "disconnected" in lowered
        or "use of closed" in lowered
    ):
        return EngineError("not_connected", detail, retryable=True)
    if "media" in lowered or "upload" in lowered or "failed to execute request" in lowered:
        return EngineError("not_connected", detail, retryable=True)
    return EngineError("rejected", detail)

"""Translates the library's error texts into stable codes."""

from __future__ import annotations

import re

from bot_service.engines.neonize import log_lines
from bot_service.engines.port import EngineError
from shared.redact import redact_text

_SERVER_ERROR = re.compile(r"server returned error (\d+)")
TIME_LOCK = "463"
_NOT_CONNECTED = (
    *("not logged in", "not connected", "disconnected", "use of closed"),
    *("media", "upload", "failed to execute request"),
)


def translate(text: str) -> EngineError:
    """An error with a stable code; the detail holds no numbers of people."""
    detail = redact_text(text)[:300]
    found = _SERVER_ERROR.search(text)
    if found is not None:
        return EngineError("timelocked" if found[1] == TIME_LOCK else "rejected", detail)
    lowered = text.lower()
    if "timed out" in lowered or "deadline exceeded" in lowered:
        return EngineError("timeout", detail, retryable=True)
    # A store that does not answer, or is another client's by now: nothing has left.
    if log_lines.names_store(text) or any(part in lowered for part in _NOT_CONNECTED):
        return EngineError("not_connected", detail, retryable=True)
    return EngineError("rejected", detail)

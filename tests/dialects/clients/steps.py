"""What a phone does while a client works; runs in the client's process, with Python's library only."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable
from typing import Any

URL, KEY, HOOK = os.environ["BOT_URL"], os.environ["BOT_KEY"], os.environ["HOOK_URL"]
CHAT = "33612345678@c.us"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CONFIG = {"webhooks": [{"url": HOOK, "events": ["message", "session.status"], "hmac": {"key": "shared"}}]}


def simulate(**action: Any) -> None:
    """An action of the simulator: of the phone, or of the other side of a chat."""
    request = urllib.request.Request(
        f"{URL}/api/sessions/default/simulate",
        json.dumps(action).encode(),
        {"Content-Type": "application/json", "X-Api-Key": KEY},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def until(look: Callable[[], Any], wanted: Any) -> None:
    """Wait until ``look()`` is ``wanted``."""
    deadline = time.monotonic() + 120
    found = look()
    while found != wanted:
        assert time.monotonic() < deadline, f"{found!r} is not {wanted!r}"
        time.sleep(0.05)
        found = look()


def said(**results: Any) -> None:
    """What the test looks at."""
    print(json.dumps(results))

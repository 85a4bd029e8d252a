"""Calls that arrive; the same for every engine."""

from __future__ import annotations

import msgspec


class Call(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Somebody calls. ``group`` is the group of a group call; ``at_ms`` since the epoch."""

    session: str
    id: str
    caller: str
    at_ms: int
    video: bool = False
    group: str | None = None

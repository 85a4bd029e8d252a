"""Announcements: what a person writes for the readers of the status page."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    INFO = "info"
    PROBLEM = "problem"


class Announcement(msgspec.Struct, frozen=True, rename="camel"):
    """Shown until ``until_ms``, or until a person ends it. Times are wall milliseconds."""

    id: str
    title: str
    text: str
    severity: Severity
    created_at_ms: int
    until_ms: int | None
    author: str
    ended_at_ms: int | None = None

    def over_at_ms(self, now_ms: int) -> int | None:
        """When it ended; None while it is shown."""
        ends = [at for at in (self.ended_at_ms, self.until_ms) if at is not None and at <= now_ms]
        return min(ends, default=None)

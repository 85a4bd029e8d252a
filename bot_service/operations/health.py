"""Decides whether this process is healthy, from memory."""

from __future__ import annotations

from collections.abc import Iterable

from bot_service.messages.build import Messages
from bot_service.sessions.build import Sessions
from bot_service.store.database import Database


def unhealthy_reasons(
    dead_loops: Iterable[str], sessions: Sessions, messages: Messages, database: Database
) -> list[str]:
    """Why this process is unhealthy; empty when it is well. A session is never a reason."""
    found = [f"loop:{name}" for name in sorted(dead_loops)]
    if database.damaged is not None:
        found.append("store_damaged")
    elif sessions.store.failing is not None or database.failing is not None:
        found.append("store")
    if not sessions.pool.journalling() or messages.journal.unreadable:
        found.append("journal")
    if not sessions.pool.watching():
        found.append("engine_pool")
    return found

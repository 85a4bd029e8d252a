"""Tells an outage of WhatsApp or of the network from trouble of single sessions: most are down, for such a reason."""

from __future__ import annotations

from bot_service.domain.states import State
from bot_service.sessions.registry import SessionRegistry

REASONS = frozenset({"connect_error", "disconnected", "server_unavailable", "take_over_timeout", "connect_timeout"})
LEAST = 3
SHARE = 0.8


def upstream_outage(registry: SessionRegistry) -> bool:
    """True when at least three sessions, and four fifths of those that should run, cannot reach WhatsApp."""
    should_run = registry.wanted - registry.waiting_for_people
    if should_run < LEAST or registry.by_state[State.RECONNECTING] < SHARE * should_run:
        return False
    down = sum(record.state is State.RECONNECTING and record.reason in REASONS for record in registry)
    return down >= SHARE * should_run

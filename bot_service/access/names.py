"""Checks names that callers choose, for what they would do where they are shown."""

from __future__ import annotations

from bot_service.domain.refused import invalid
from shared.visible import RULE, is_plain_name


def check_name(name: str | None, field: str = "name") -> None:
    """Refused: ``invalid``, for a name that could hide or change what stands around it."""
    if name is not None and not is_plain_name(name):
        raise invalid(field, RULE)

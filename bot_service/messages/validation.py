"""Checks that a message to send is complete for its type."""

from __future__ import annotations

# The fields that each type needs besides the address.
NEEDS: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "image": ("media",),
    "document": ("media",),
    "audio": ("media",),
    "video": ("media",),
    "location": ("latitude", "longitude"),
    "contact": ("name", "contactPhone"),
    "reaction": ("reactionTo",),
    "sticker": ("media",),
    "poll": ("poll",),
}


def missing(kind: str, given: dict[str, object]) -> str | None:
    """The first field that a message of type ``kind`` needs and ``given`` lacks."""
    return next((name for name in NEEDS[kind] if given.get(name) in (None, "")), None)

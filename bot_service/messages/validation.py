"""Checks that a message to send is complete for its type, and turns its address into a JID."""

from __future__ import annotations

import re

from bot_service.domain.refused import invalid

_JID = re.compile(r"^[\w.-]{1,64}(?::\d{1,3})?@(?:s\.whatsapp\.net|g\.us|lid|newsletter|broadcast)$")
_NUMBER = re.compile(r"^\+?[\d\s().-]+$")

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
}


def address(to: str, field: str) -> str:
    """``to`` as a JID, from a JID or a number of 6 to 15 digits. Refused: ``invalid`` ``field``."""
    to = to.strip()
    if _JID.match(to):
        return to
    if _NUMBER.match(to):
        digits = re.sub(r"\D", "", to)
        if 6 <= len(digits) <= 15:
            return f"{digits}@s.whatsapp.net"
    raise invalid(field, "must be a telephone number with country code, or a JID")


def missing(kind: str, given: dict[str, object]) -> str | None:
    """The first field that a message of type ``kind`` needs and ``given`` lacks."""
    return next((name for name in NEEDS[kind] if given.get(name) in (None, "")), None)

"""Checks that a message to send is complete for its type, and writes its address as WhatsApp has it."""

from __future__ import annotations

import re

_JID = re.compile(r"^[\w.-]{1,64}(?::\d{1,3})?@(?:s\.whatsapp\.net|g\.us|lid|newsletter|broadcast)$")
_NUMBER = re.compile(r"^\+?[\d\s().-]+$")

# What each type needs besides the address: fields, and what to say when one is missing.
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


class InvalidMessage(ValueError):
    """``field`` names what is wrong."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field, self.why = field, why


def address(to: str) -> str:
    """``to`` as a JID: a JID stays, a number of 6 to 15 digits becomes one. Raises :class:`InvalidMessage`."""
    to = to.strip()
    if _JID.match(to):
        return to
    if _NUMBER.match(to):
        digits = re.sub(r"\D", "", to)
        if 6 <= len(digits) <= 15:
            return f"{digits}@s.whatsapp.net"
    raise InvalidMessage("to", "must be a telephone number with country code, or a JID")


def missing(kind: str, given: dict[str, object]) -> str | None:
    """The first field that a message of type ``kind`` needs and ``given`` lacks."""
    return next((name for name in NEEDS[kind] if given.get(name) in (None, "")), None)

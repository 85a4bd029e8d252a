"""WhatsApp addresses as callers and messages give them: telephone numbers and JIDs."""

from __future__ import annotations

import re
from functools import lru_cache

from bot_service.domain.refused import invalid
from shared.translation import N_

INTERNATIONAL = N_("must be a telephone number in international form, for example 33612345678")
_OR_JID = N_(
    "must be a telephone number in international form, for example 33612345678, "
    "or a JID such as 33612345678@s.whatsapp.net"
)
# Digits are ASCII: \d would take those of every script.
_JID = re.compile(
    r"(?:[0-9]{5,20}(?::[0-9]{1,3})?@(?:s\.whatsapp\.net|c\.us|lid)"
    r"|[0-9]{5,32}(?:-[0-9]{5,20})?@g\.us"
    r"|[0-9]{5,32}@newsletter"
    r"|(?:[0-9]{5,32}|status)@broadcast)"
)
# The chat of all statuses, own and of contacts.
STATUS_CHAT = "status@broadcast"
_BETWEEN = re.compile(r"[ \t\u00a0\u202f().\-/]")
_NUMBER = re.compile(r"(?:\+|00)?([1-9][0-9]{5,14})")
_PART = re.compile(r"(?:\+|00)?([0-9]{3,15})")
# Where people read what is written to them. WhatsApp's own account, 0, is none of them.
_ANSWERABLE = re.compile(r"(?:[1-9][0-9]*@(?:s\.whatsapp\.net|c\.us|lid)|[0-9-]+@g\.us)")


def telephone_number(text: str, field: str) -> str:
    """6 to 15 digits, from a number with ``+``, ``00``, spaces or dashes. Refused: ``invalid``."""
    found = _NUMBER.fullmatch(_BETWEEN.sub("", text.strip()))
    if found is None:
        raise invalid(field, INTERNATIONAL)
    return found[1]


# A list asks it again for each of its sessions.
@lru_cache(maxsize=64)
def part_of_number(text: str) -> str:
    """The digits of ``text`` if it can be a part of a telephone number, else an empty text."""
    found = _PART.fullmatch(_BETWEEN.sub("", text))
    return found[1] if found else ""


def address(to: str, field: str) -> str:
    """``to`` as a JID, from a JID or a telephone number. Refused: ``invalid`` ``field``."""
    to = to.strip()
    if "@" not in to:
        return f"{telephone_number(to, field)}@s.whatsapp.net"
    if _JID.fullmatch(to) is None:
        raise invalid(field, _OR_JID)
    user, _, server = to.partition("@")
    return f"{user}@s.whatsapp.net" if server == "c.us" else to


def without_device(jid: str) -> str:
    """The address of a person, from that of one of its devices."""
    user, at, server = jid.partition("@")
    return f"{user.partition(':')[0]}{at}{server}"


def has_authors(chat: str) -> bool:
    """Whether each message of ``chat`` names its author: in groups, of statuses and in broadcast lists."""
    return chat.endswith(("@g.us", "@broadcast"))


def can_be_answered(chat: str) -> bool:
    """Whether a reply to ``chat`` reaches a person: no status, channel, broadcast list or bot."""
    return _ANSWERABLE.fullmatch(chat) is not None

"""Reads the library's own log: frames in and out, and the moment before a message is decrypted.

The lines hold telephone numbers and contents: nothing of them may be stored or logged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TAG = re.compile(r"<([a-z:]+)")
_ATTRIBUTE = re.compile(r' ([a-z_]+)="([^"]*)"')
_ENVELOPE = re.compile(r"<enc ")
_ITEM = re.compile(r'<item id="([^"]+)"/>')
_PASSED_OVER = ("Unhandled encrypted message ", "Error unmarshaling decrypted message ", "Unknown version ")
_UNREADABLE = re.compile(r"Error decrypting message (\S+) from ")
_IGNORED = re.compile(r"Ignoring message (\S+) from ")
_NOT_REPEATED = re.compile(r"Failed to handle retry receipt for \S+/(\S+) from .*couldn't find message")
_REPEAT_BEGINS = re.compile(r"(?:Found|Accepted) .* retry (?:receipt|request) for \S+/(\S+) from (\S+)")
_REPEAT_ENDS = re.compile(
    r"(?:Sent retry #\d+ for \S+/(?=\S+ to )|Failed to handle retry receipt for \S+/|Dropping retry request from )"
    r"(\S+) (?:to|from|for) (\S+?)(?:: .*|:?)$",
    re.DOTALL,
)
_REPEAT_PANICKED = "Retry receipt handler panicked"
_GIVEN_UP = re.compile(r"Not sending any more retry receipts for (\S+)")
# What the library says when its store in PostgreSQL does not answer, or refuses. SQLite's errors have no such words.
_STORE = (
    *(
        "pq: ",
        "dial tcp",
        "dial unix",
        "driver: bad connection",
        "broken pipe",
        "connection reset",
        "connection refused",
    ),
    *("i/o timeout", "unexpected EOF"),
)
DECRYPTING = "Decrypting message from "
DIALING = "Dialing "
REDIALING = "Automatically reconnecting after "
REDIALING_AT_ONCE = REDIALING + "0s"


@dataclass(frozen=True, slots=True)
class Repeat:
    """An answer to a device that asked for a sent message again: WhatsApp's id of the message, and the device."""

    message_id: str
    device: str


@dataclass(frozen=True, slots=True)
class Stanza:
    """One frame: tag, attributes of the outer element, and the rest as text."""

    tag: str
    attrs: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.attrs.get("id", "")

    @property
    def ids(self) -> list[str]:
        """The message ids of a receipt."""
        return [self.id, *_ITEM.findall(self.body)]

    @property
    def envelopes(self) -> int:
        """How many encrypted parts a message has."""
        return len(_ENVELOPE.findall(self.body))

    @property
    def offered_codes(self) -> int:
        """How many QR codes the server offers to a new device."""
        return self.body.count("<ref>") if "<pair-device>" in self.body else 0


def parse(text: str) -> Stanza | None:
    """The stanza of a line of `Client/Recv` or `Client/Send`; None when it is not one."""
    found = _TAG.match(text)
    if found is None:
        return None
    # Attributes are in alphabetical order, so a name that a person chose ("notify") follows the id.
    attrs: dict[str, str] = {}
    at = found.end()
    while (attribute := _ATTRIBUTE.match(text, at)) is not None:
        attrs.setdefault(attribute[1], attribute[2])
        at = attribute.end()
    return Stanza(found[1], attrs, text[at:])


def is_passed_over(text: str) -> bool:
    """Whether the library drops, without an event, what it decrypts now; the line has no id."""
    return text.startswith(_PASSED_OVER)


def unreadable_message(text: str) -> str | None:
    """The id of a message that cannot be decrypted; its sender is asked again."""
    found = _UNREADABLE.match(text)
    return found[1] if found else None


def names_store(text: str) -> bool:
    """Whether an error is one of a store in PostgreSQL."""
    return "proto:" not in text and (any(word in text for word in _STORE) or text.endswith(": EOF"))


def names_fence(text: str) -> bool:
    """Whether the store refused what an older client of the session wrote."""
    return "veilleur: fenced" in text


def given_up_message(text: str) -> str | None:
    """The id of an unreadable message that is not requested any more."""
    found = _GIVEN_UP.match(text)
    return found[1] if found else None


def not_repeated_message(text: str) -> str | None:
    """The id of a sent message that a device cannot read and asked for again, and that the library has forgotten."""
    found = _NOT_REPEATED.match(text)
    return found[1] if found else None


def repeat_begins(text: str) -> Repeat | None:
    """The answer that the library begins, if this line says so."""
    found = _REPEAT_BEGINS.match(text)
    return Repeat(found[1], found[2]) if found else None


def repeat_ends(text: str, answer: Repeat) -> bool:
    """Whether the library has sent ``answer``, or will not send it."""
    found = _REPEAT_ENDS.match(text)
    return text.startswith(_REPEAT_PANICKED) if found is None else Repeat(found[1], found[2]) == answer


def ignored_message(text: str) -> str | None:
    """The id of a message that the library had read before."""
    found = _IGNORED.match(text)
    return found[1] if found else None

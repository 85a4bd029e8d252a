"""Headers that the owner of a webhook chooses; their values may be secrets and are never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from bot_service.domain.refused import invalid

HeaderName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}(?!\n)$", description="the name of a header, at most 100 characters"
    ),
]
HeaderValue = Annotated[
    str, Meta(pattern=r"^[\t\x20-\x7e]{0,4000}(?!\n)$", description="printable ASCII characters, at most 4000")
]
CustomHeaders = Annotated[
    dict[Annotated[str, Meta(max_length=100)], Annotated[str, Meta(max_length=4000)]], Meta(max_length=20)
]
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
# Stands for a value in what is shown; given back, it keeps the value.
HIDDEN = "***"
_OWN = frozenset(
    (
        "host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding",
        "accept-encoding", "expect", "trailer", "upgrade",
    )
)  # fmt: skip


def refuse_own(name: str, field: str) -> None:
    """Raises :class:`Refused` ``invalid`` for a header that this service sets itself."""
    if name.lower() in _OWN or name.lower().startswith(("webhook-", "x-webhook-")):
        raise invalid(field, f"{name} is set by this service")


def merged(given: Mapping[str, str], before: Mapping[str, str], field: str) -> dict[str, str]:
    """``given`` with the values of ``before`` where they are :data:`HIDDEN`. Refused: ``invalid``."""
    kept = {name.lower(): value for name, value in before.items()}
    found: dict[str, str] = {}
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            raise invalid(field, f"{name!r} is no name of a header: letters, digits and dashes")
        if not _VALUE.fullmatch(value):
            raise invalid(field, f"the value of {name} must be printable ASCII on one line")
        refuse_own(name, field)
        if name.lower() in {known.lower() for known in found}:
            raise invalid(field, f"{name} is there twice")
        if value == HIDDEN and name.lower() not in kept:
            raise invalid(field, f"{HIDDEN} keeps a value, and there is none of {name}")
        found[name] = kept[name.lower()] if value == HIDDEN else value
    return found


def hidden(headers: Mapping[str, str]) -> dict[str, str]:
    """``headers`` without their values."""
    return dict.fromkeys(headers, HIDDEN)

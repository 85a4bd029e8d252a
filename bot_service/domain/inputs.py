"""Constraints on the values that callers choose: ids, names, owners, telephone numbers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

# ``$`` alone would accept a line break at the end.
SessionId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?!\n)$",
        description="letters, digits, - and _, at most 64, the first a letter or digit",
    ),
]
# As stored: administrators see the mark of an id that two owners use (``session_ids``).
StoredSessionId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:~[0-9a-f]{12})?(?!\n)$")]
Owner = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}(?!\n)$",
        description="letters, digits and ._@-, at most 64, the first a letter or digit",
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
# Checked further by ``addresses.telephone_number``.
Phone = Annotated[
    str, Meta(min_length=1, max_length=40, description="a phone number in international form, for example 33612345678")
]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=500)]], Meta(max_length=32)
]
DEFAULT_OWNER = "main"

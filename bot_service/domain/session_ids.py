"""Ids of sessions: what their owners ask for and see, and what is stored (decision 0119).

Every owner may use any id. When it is taken by another owner, it is stored with a random mark that
only administrators see, so that no owner learns which ids others use.
"""

from __future__ import annotations

import re
import unicodedata

MARK = "~"
_LONGEST = 48
# A name with more of them may be a telephone number. Ids stand in addresses and in the log.
_DIGITS = 5


def marked(asked: str, mark: str) -> str:
    """The id to store for the one that was ``asked`` for, which cannot have a mark itself."""
    return f"{asked}{MARK}{mark}"


def from_name(name: str) -> str:
    """An id that reads like ``name``: "Café Lyon" is ``cafe-lyon``. Empty when nothing fit for an id is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    found = "-".join(re.findall(r"[a-z0-9]+", plain))[:_LONGEST].strip("-")
    return found if sum(map(str.isdigit, found)) <= _DIGITS else ""


def shown(stored: str) -> str:
    """The id as its owner knows it."""
    return stored.partition(MARK)[0]


def without_mark(text: bytes, stored: str) -> bytes:
    """``text`` for the owner of the session ``stored``. Marks are random, so only its id is found."""
    return text.replace(stored.encode(), shown(stored).encode()) if MARK in stored else text

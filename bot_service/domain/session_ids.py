"""Ids of sessions: what their owners ask for and see, and what is stored (decision 0119).

Every owner may use any id. When it is taken by another owner, it is stored with a random mark that
only administrators see, so that no owner learns which ids others use.
"""

from __future__ import annotations

MARK = "~"


def marked(asked: str, mark: str) -> str:
    """The id to store for the one that was ``asked`` for, which cannot have a mark itself."""
    return f"{asked}{MARK}{mark}"


def shown(stored: str) -> str:
    """The id as its owner knows it."""
    return stored.partition(MARK)[0]


def without_mark(text: bytes, stored: str) -> bytes:
    """``text`` for the owner of the session ``stored``. Marks are random, so only its id is found."""
    return text.replace(stored.encode(), shown(stored).encode()) if MARK in stored else text

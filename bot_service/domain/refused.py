"""The one exception with which a use case refuses what it was asked."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """``code`` is stable and meant for programs, ``detail`` for people.

    ``field`` is the input that is wrong. ``facts`` are further members of the answer, such as the
    state of the session.
    """

    def __init__(self, code: str, detail: str, *, field: str | None = None, **facts: Any) -> None:
        super().__init__(detail)
        self.code, self.detail, self.field, self.facts = code, detail, field, facts


class RunsElsewhere(Exception):
    """Another replica owns the session, or none does at the moment: only its owner can do this.

    No :class:`Refused`: the request is passed on to the owner.
    """

    def __init__(self, session: str) -> None:
        super().__init__(f"session {session} runs on another replica")
        self.session = session


def not_found(what: str) -> Refused:
    """Also for what belongs to another owner: callers must not learn which ids exist."""
    return Refused("not_found", f"{what} does not exist")


def invalid(field: str, why: str) -> Refused:
    """``field`` is the dotted name in the input."""
    return Refused("invalid", why, field=field)

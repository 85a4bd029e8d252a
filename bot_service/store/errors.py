"""What an error of the store says, for logs, health and refusals."""

from __future__ import annotations


def why(error: BaseException) -> str:
    """The first line of what the database said, without the values of rows that may follow it."""
    said = str(getattr(error, "orig", None) or error) or type(error).__name__
    return said.splitlines()[0][:200]

"""What an error of the store says, for logs, health and refusals."""

from __future__ import annotations


def is_unfit(error: BaseException | None) -> bool:
    """Whether the database refused a value, not its work: a NUL character, a text that is too long,
    a number out of range. The same statement fails every time."""
    if isinstance(error, OverflowError):
        return True  # SQLite's driver raises it before the statement runs
    error = getattr(error, "orig", None)
    while error is not None:
        # SQLSTATE of class 22; the driver's own check of a value is a ValueError.
        if str(getattr(error, "sqlstate", None) or "").startswith("22") or isinstance(error, ValueError):
            return True
        error = error.__cause__
    return False


def why(error: BaseException) -> str:
    """The first line of what the database said, without the values of rows that may follow it."""
    said = str(getattr(error, "orig", None) or error) or type(error).__name__
    return said.splitlines()[0][:200]

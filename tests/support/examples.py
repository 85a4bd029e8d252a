"""How many examples hypothesis makes: ``EXAMPLES`` times as many in `make test-deep`."""

from __future__ import annotations

import os

_TIMES = int(os.environ.get("EXAMPLES", "1"))


def examples(number: int) -> int:
    """``number`` of them, or more where there is time."""
    return number * _TIMES

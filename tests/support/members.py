"""Parameters of which `make test` runs the first ones, and `make test-deep` all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def members(values: Sequence[Any], *, first: int = 1, ids: Sequence[str] = ()) -> list[Any]:
    """``values`` for ``pytest.mark.parametrize``: a test of real programs costs seconds a member. A tuple is several arguments."""

    def member(number: int, value: Any) -> Any:
        arguments = value if isinstance(value, tuple) else (value,)
        marks = [pytest.mark.deep] if number >= first else []
        return pytest.param(*arguments, marks=marks, id=ids[number] if ids else None)

    return [member(number, value) for number, value in enumerate(values)]

"""The variables of a settings class as rows of a table, for the documents."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

from shared.settings import Kind


@dataclass(frozen=True, slots=True)
class Described:
    """One variable for tables."""

    name: str
    default: str
    accepts: str
    about: str
    secret: bool


def describe(cls: type[Any]) -> list[Described]:
    """Every variable of ``cls`` in order."""
    rows = []
    for field in dataclasses.fields(cls):
        kind = cast(Kind, field.metadata["kind"])
        shown = field.metadata["shown_default"]
        if shown is None:
            default = field.default
            shown = "" if default in (dataclasses.MISSING, None, ()) else str(default)
            shown = shown.lower() if isinstance(default, bool) else shown
        rows.append(Described(field.metadata["name"], shown, kind.accepts, field.metadata["about"], kind.secret))
    return rows

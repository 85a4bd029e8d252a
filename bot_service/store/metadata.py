"""The schema in which every module of this package registers its tables, for SQLite and PostgreSQL.

Times are milliseconds since the epoch. Bodies are JSON bytes, read whole and never searched. There
are no foreign keys: a delivery may outlive its message, and ``forget_session`` of each module
deletes the rows of a deleted session. The exceptions are in ``store/leases.py`` and ``store/media.py``.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

metadata = sa.MetaData()
# An id of 64 characters with its mark (``session_ids``). SQLite counts no characters.
SESSION_ID = sa.String(77).with_variant(sa.String(64), "sqlite")


def columns(table: sa.Table, row: type[msgspec.Struct]) -> list[sa.Column[Any]]:
    """The columns that the fields of ``row`` name, in the order of its fields."""
    return [table.c[name] for name in row.__struct_fields__]

"""Types of columns that many tables have, as the migrations made them: they never change here."""

from __future__ import annotations

import sqlalchemy as sa

# 64 characters, and 13 of the mark of an id that two owners use (decision 0119). SQLite counts no characters.
SESSION_ID = sa.String(77).with_variant(sa.String(64), "sqlite")

"""The ledger's tables: one numbered SQL file per version, held in ``user_version``."""

from __future__ import annotations

import sqlite3
from importlib import resources

NEWEST = 5


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Apply every missing file, each in one transaction with its version number."""
    held = int(connection.execute("PRAGMA user_version").fetchone()[0])
    for version in range(held + 1, NEWEST + 1):
        statements = resources.files(__name__).joinpath(f"{version:04d}.sql").read_text(encoding="utf-8")
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{statements}\nPRAGMA user_version = {version};\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

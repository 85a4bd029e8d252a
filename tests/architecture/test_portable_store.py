"""The bot's queries are for SQLite and PostgreSQL: they are expressions of SQLAlchemy, and only named modules know a database."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "bot_service"
# Modules that open a database, look after its file, or translate between the two.
OF_ONE_DATABASE = {
    "store/damage.py",
    "store/database.py",
    "store/devices.py",
    "store/leases.py",
    "store/media.py",
    "store/postgresql.py",
    "store/schema.py",
    "store/server.py",
    "store/shown_once.py",
    "store/sqlite_thread.py",
    "store/upsert.py",
    "operations/store_damage.py",
}
# Statements as text, and names that only one of the two databases has.
TEXT = {"text", "exec_driver_sql", "literal_column", "DDL"}
ONLY_ONE_HAS = {"prefix_with", "on_conflict_do_update", "on_conflict_do_nothing", "rowid", "group_concat", "string_agg",
                "json_extract", "julianday", "strftime", "now", "random", "with_for_update", "total_changes"}  # fmt: skip


def queries() -> list[Path]:
    """The modules that use SQLAlchemy, migrations included."""
    found = sorted(PROGRAM.rglob("*.py"))
    return [
        path for path in found
        if str(path.relative_to(PROGRAM)) not in OF_ONE_DATABASE and "import sqlalchemy as sa" in path.read_text()
    ]  # fmt: skip


def not_portable(source: str) -> list[str]:
    """Each use of SQL as text, or of what one database alone has."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="sa"), attr=name) if name in TEXT:
                found.append(f"line {node.lineno}: sa.{name}")
            case ast.Attribute(attr="exec_driver_sql"):
                found.append(f"line {node.lineno}: exec_driver_sql")
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="sa"), attr="func"), attr=name):
                if name in ONLY_ONE_HAS or name.startswith("sqlite"):
                    found.append(f"line {node.lineno}: sa.func.{name}")
            case ast.Call(func=ast.Attribute(attr=name)) if name in ONLY_ONE_HAS and name not in ("now", "random"):
                found.append(f"line {node.lineno}: {name}")
            case ast.ImportFrom(module=str(module)) if module.startswith(("sqlalchemy.dialects", "sqlite3", "asyncpg")):
                found.append(f"line {node.lineno}: {module}")
    return found


@pytest.mark.parametrize("path", queries(), ids=lambda path: str(path.relative_to(PROGRAM)))
def test_a_query_is_for_both_databases(path: Path) -> None:
    allowed = {"sqlite_where=", "postgresql_where="}
    source = "\n".join("" if any(word in line for word in allowed) else line for line in path.read_text().splitlines())
    assert not_portable(source) == [], "write it with SQLAlchemy's expressions, or in store/upsert.py for both"


@pytest.mark.parametrize(
    "source",
    [
        "sa.text('INSERT OR REPLACE INTO a VALUES (1)')",
        "await connection.exec_driver_sql('PRAGMA user_version')",
        "sa.insert(t).prefix_with('OR IGNORE')",
        "sa.select(sa.func.json_extract(t.c.body, '$.id'))",
        "from sqlalchemy.dialects import sqlite",
        "sqlite.insert(t).on_conflict_do_nothing()",
    ],
)
def test_a_query_for_one_database_is_found(source: str) -> None:
    assert not_portable(source)

"""Brings a store to the newest schema.

Alembic is imported only for an older store: its import is a fifth of a start.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, inspect, select, text

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
# Of PostgreSQL's advisory lock: services that start together migrate one after another.
_LOCK = 7_305_421_930


class UnknownRevision(Exception):
    """The store has a schema that this program does not know."""


class UnknownTables(Exception):
    """The store has tables, and none of them says which schema this is."""


@cache
def newest() -> str:
    """The revision of the newest schema; files of migrations are named after theirs."""
    found = [re.match(r"v(\d+)_", path.name) for path in (MIGRATIONS / "versions").iterdir()]
    return max(name[1] for name in found if name is not None)


def known(revision: str) -> bool:
    """Whether this program can work with a store of ``revision``."""
    if revision == newest():
        return True
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    try:
        return ScriptDirectory.from_config(config()).get_revision(revision) is not None
    except CommandError:
        return False


def upgrade(connection: Connection) -> None:
    """Migrate to the newest schema, in one transaction. Raises UnknownRevision and UnknownTables."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    revision = _revision(connection)
    if revision == newest():
        return
    if revision is None and set(inspect(connection).get_table_names()) - {"alembic_version"}:
        raise UnknownTables
    from alembic import command
    from alembic.util.exc import CommandError

    settings = config()
    settings.attributes["connection"] = connection
    try:
        command.upgrade(settings, "head")
    except CommandError as error:
        raise UnknownRevision(str(error)) from None


def config() -> Config:
    """Alembic's settings for the migrations of this package."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    return made


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found

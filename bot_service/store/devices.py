"""What the service itself does with the devices of sessions in PostgreSQL; the workers of the engine make the tables."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

_MADE = sa.text("SELECT to_regclass('veilleur_device_schema') IS NOT NULL")
# The fence refuses what comes from no client of a session.
_MAINTAIN = sa.text("SET LOCAL veilleur.maintenance = 'on'")
_FORGET = sa.text(
    "DELETE FROM whatsmeow_device WHERE jid = (SELECT jid FROM veilleur_devices WHERE session = :session)"
)
_FORGET_NUMBER = sa.text("DELETE FROM veilleur_devices WHERE session = :session")


async def forget(connection: AsyncConnection, session: str) -> None:
    """Delete the device of ``session`` with its keys, if there is one. What its last client still writes is refused."""
    if not (await connection.execute(_MADE)).scalar_one():
        return
    await connection.execute(_MAINTAIN)
    await connection.execute(_FORGET, {"session": session})
    await connection.execute(_FORGET_NUMBER, {"session": session})


_STANDBY = sa.text(
    "SELECT current_setting('synchronous_standby_names') <> ''"
    " AND current_setting('synchronous_commit') IN ('on', 'remote_apply', 'remote_write')"
)


async def has_synchronous_standby(connection: AsyncConnection) -> bool:
    """Whether a commit waits until another server has it."""
    return bool((await connection.execute(_STANDBY)).scalar_one())

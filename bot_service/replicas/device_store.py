"""Refuses a shared device store on which the service could lose messages."""

from __future__ import annotations

from bot_service.store import devices
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database, StoreRefused, application_names
from bot_service.store.errors import why
from shared.settings import Fault, SettingsError

NAMES = ("veilleur probe 1", "veilleur probe 2")


async def check(database: Database, pooler: str | None, *, asynchronous: bool) -> None:
    """Raises ``SettingsError``, and ``StoreRefused`` when a server does not answer.

    A ratchet step of a sent message that is lost with its server makes the next sent messages unreadable, and WhatsApp
    does not say so. A pooler that does not carry the names of its clients makes the fence refuse everything.
    """
    try:
        async with database.read() as connection:
            synchronous = await devices.has_synchronous_standby(connection)
        carried = pooler is None or await application_names(pooler, NAMES) == list(NAMES)
    except STORE_ERRORS as error:
        raise StoreRefused(f"The device store does not answer: {why(error)}") from error
    if not synchronous and not asynchronous:
        reason = "this PostgreSQL has no synchronous standby (synchronous_standby_names, synchronous_commit)"
        raise SettingsError([Fault("DEVICE_STORE_ASYNC", "refuse", "accept, where that may happen", reason)])
    if not carried:
        reason = "it does not carry the application_name of each client"
        raise SettingsError([Fault("DEVICE_STORE_URL", None, "PgBouncer 1.18 or newer", reason)])

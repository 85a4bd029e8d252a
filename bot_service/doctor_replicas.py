"""``veilleur doctor`` for replicas: PostgreSQL, its pooler, the other replicas, their secrets, and the store of files.

Changes nothing but for an object of a few bytes, which it writes, reads and deletes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from bot_service.messages.object_store import S3Objects
from bot_service.replicas import same_secrets
from bot_service.replicas.device_store import NAMES
from bot_service.settings import BotSettings
from bot_service.store import devices, leases, server
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database, application_names, is_shared, lease_database
from bot_service.store.errors import why
from shared.clock import SystemClock
from shared.doctor import Check, CheckStatus, Context
from shared.settings import SettingsError

GROUP = "Replicas"
OLDEST_VERSION = 14
# Differences that are harmless; what lasts is decided by PostgreSQL's clock.
CLOCK_S = 5.0
ANSWER_S = 20.0
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})

OK, INFO, WARNING, FAILED = CheckStatus.OK, CheckStatus.INFO, CheckStatus.WARNING, CheckStatus.FAILED


def checks(settings: BotSettings, context: Context) -> Iterator[Check]:
    """Nothing without REPLICA_URL."""
    if settings.replica_url is None:
        return
    found, others = asyncio.run(_in_time(settings))
    yield from found
    yield from _addresses(settings.replica_url, others, context)


async def _in_time(settings: BotSettings) -> tuple[list[Check], list[str]]:
    found: list[Check] = []
    others: list[str] = []
    try:
        async with asyncio.timeout(ANSWER_S):
            found += await _postgresql(settings, others)
            if settings.device_store_url is not None:
                found.append(await _pooler(settings.device_store_url.reveal()))
            found.append(await _files(settings))
    except TimeoutError:
        todo = "look at the load of PostgreSQL and of the network, and try again"
        found.append(Check(GROUP, "answers", FAILED, f"not all answers came within {ANSWER_S:g} s", todo))
    return found, others


async def _postgresql(settings: BotSettings, others: list[str]) -> list[Check]:
    database = lease_database(settings.store_url, "veilleur doctor")
    found = []
    try:
        found.append(await _server(database))
        found.append(await _clock(database))
        if settings.shares_devices:
            found.append(await _standby(database, accepted=settings.device_store_async == "accept"))
        found += await _secrets(settings, database, others)
    except STORE_ERRORS as error:
        todo = "correct DATABASE_URL, or let this machine reach the server (firewall, pg_hba.conf)"
        found.append(Check(GROUP, "PostgreSQL", FAILED, f"cannot be used: {why(error)}", todo))
    finally:
        await database.close()
    return found


async def _server(database: Database) -> Check:
    async with database.read() as connection:
        state = await server.state(connection)
    if state.follows:
        todo = "name the primary, or all servers with target_session_attrs=read-write"
        return Check(GROUP, "PostgreSQL", FAILED, "DATABASE_URL leads to a standby, which cannot be written", todo)
    if state.version < OLDEST_VERSION:
        return Check(
            GROUP, "PostgreSQL", FAILED, f"version {state.version}", f"upgrade it to {OLDEST_VERSION} or newer"
        )
    return Check(GROUP, "PostgreSQL", OK, f"version {state.version} can be used")


async def _clock(database: Database) -> Check:
    clock = SystemClock()
    async with database.read() as connection:
        before = clock.now().timestamp()
        there = await server.now_s(connection)
        apart = there - (before + clock.now().timestamp()) / 2
    text = f"the clock of PostgreSQL is {abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} this one"
    if abs(apart) < CLOCK_S:
        return Check(GROUP, "clock", OK, text)
    return Check(GROUP, "clock", WARNING, text, "let both machines follow a time server (chrony, systemd-timesyncd)")


async def _standby(database: Database, *, accepted: bool) -> Check:
    async with database.read() as connection:
        synchronous = await devices.has_synchronous_standby(connection)
    if synchronous:
        return Check(GROUP, "synchronous standby", OK, "a commit waits for another server")
    found = "a commit waits for no other server: the loss of this one may make the next sent messages unreadable"
    todo = "set synchronous_standby_names and synchronous_commit, or DEVICE_STORE_ASYNC=accept where that may happen"
    if accepted:
        todo = "nothing where the disks of the server are replicated; otherwise set synchronous_standby_names"
        return Check(GROUP, "synchronous standby", INFO, f"{found}; DEVICE_STORE_ASYNC accepts that", todo)
    return Check(GROUP, "synchronous standby", FAILED, found, todo)


async def _secrets(settings: BotSettings, database: Database, others: list[str]) -> list[Check]:
    async with database.read() as connection:
        if not (await server.state(connection)).made:
            return [Check(GROUP, "replicas", INFO, "none has started yet: the tables are not made")]
        others += [each.url for each in await leases.living(connection) if each.left_ms > 0]
        if not others or settings.bot_api_key is None or settings.watchdog_token is None:
            return [Check(GROUP, "replicas", INFO, "none is running")]
        own = await asyncio.to_thread(same_secrets.digest, settings.bot_api_key, settings.watchdog_token)
        different = await leases.with_other_secrets(connection, own)
    if different:
        todo = "give all replicas the same BOT_API_KEY and WATCHDOG_TOKEN, and start them again"
        return [Check(GROUP, "same secrets", FAILED, f"other ones at {', '.join(different)}", todo)]
    return [Check(GROUP, "same secrets", OK, f"the same at {len(others)} running replica(s)")]


async def _pooler(url: str) -> Check:
    name, todo = "PgBouncer", "use PgBouncer 1.18 or newer with pool_mode = transaction (docs/replicas.md)"
    try:
        names = await application_names(url, NAMES)
        shared = await is_shared(url)
    except OSError as error:
        return Check(GROUP, name, FAILED, f"DEVICE_STORE_URL cannot be used: {why(error)}", todo)
    if names != list(NAMES):
        found = "the name of each client does not arrive at PostgreSQL: the fence would refuse everything"
        return Check(GROUP, name, FAILED, found, todo)
    if not shared:
        found = "each client has a connection of its own: the mode is session, or there is no pooler"
        return Check(GROUP, name, WARNING, found, todo)
    found = "transaction mode, and names of clients arrive; the service adds binary_parameters=yes"
    return Check(GROUP, name, OK, found)


async def _files(settings: BotSettings) -> Check:
    name = "files of messages"
    if settings.media_url is None:
        return Check(
            GROUP, name, INFO, "in PostgreSQL, up to 16 MiB each; MEDIA_URL names an object store for larger ones"
        )
    todo = "correct MEDIA_URL, and let its key put, get and delete objects there"
    key, data = f"doctor/{secrets.token_hex(8)}", b"veilleur doctor"
    try:
        objects = S3Objects(settings.media_url.reveal())
        await objects.put(key, _once(data))
        same = await objects.read(key, 0, len(data)) == data
        await objects.delete(key)
    except SettingsError as error:
        return Check(GROUP, name, FAILED, str(error), todo)
    except OSError as error:
        return Check(GROUP, name, FAILED, f"MEDIA_URL cannot be used: {error}", todo)
    if not same:
        return Check(GROUP, name, FAILED, "the object store does not return what was put there", todo)
    return Check(GROUP, name, OK, "an object was written, read and deleted")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _addresses(own: str, others: list[str], context: Context) -> Iterator[Check]:
    """Each replica says this of all others: together their doctors look at every way."""
    elsewhere = [url for url in others if url != own]
    if urlsplit(own).hostname in _LOCAL and any(urlsplit(url).hostname not in _LOCAL for url in elsewhere):
        found = f"{own} is an address of this machine alone, and others run elsewhere"
        yield Check(GROUP, "REPLICA_URL", FAILED, found, "set REPLICA_URL to an address that the other machines reach")
    todo = "check the REPLICA_URL of that replica, and firewalls and network policies between the two"
    for url in others:
        name = "REPLICA_URL" if url == own else f"replica {url}"
        try:
            status, _, _ = context.fetch(f"{url}/livez")
        except OSError as error:
            yield Check(GROUP, name, FAILED, f"{url} does not answer from here: {why(error)}", todo)
        else:
            good = status == 200
            found = f"{url} answers from here" if good else f"{url}/livez answers with {status}"
            yield Check(GROUP, name, OK if good else FAILED, found, "" if good else todo)

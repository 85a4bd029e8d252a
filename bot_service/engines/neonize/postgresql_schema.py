"""What this service adds to the library's tables in PostgreSQL: a fence, and old rows of the ratchets.

A client of a session writes under the name ``veilleur device NUMBER OPENING`` (``application_name``, which poolers
carry along for each client). Each start of a client is another opening. The fence takes only what the newest opening
writes, under the lease for which it was made: `FOR KEY SHARE` waits for a start that changes the opening, and a start
waits for what was written under the one before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

VERSION = 1
# Of PostgreSQL's advisory lock: workers that start together make the schema one after another.
LOCK = 7_305_421_931
# Under this name the library makes and renews its own tables.
MAKER = "veilleur schema"

_FENCE = """
CREATE OR REPLACE FUNCTION veilleur_fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name text := current_setting('application_name');
    part text[] := string_to_array(name, ' ');
BEGIN
    IF name = 'veilleur schema' OR current_setting('veilleur.maintenance', true) = 'on' THEN
        RETURN NULL;
    END IF;
    -- A process that is stopped in the middle of a transaction would keep the lock.
    PERFORM set_config('idle_in_transaction_session_timeout', '2s', true);
    IF name ~ '^veilleur device [0-9]+ [0-9]+$' THEN
        PERFORM 1 FROM veilleur_devices AS d
            WHERE d.number = part[3]::bigint AND d.opening = part[4]::bigint AND EXISTS (
                SELECT 1 FROM leases WHERE leases.id = d.session AND leases.epoch = d.epoch AND leases.holder IS NOT NULL)
            FOR KEY SHARE OF d;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION 'veilleur: fenced' USING ERRCODE = 'insufficient_privilege';
END $$
"""
_KEEP = """
CREATE OR REPLACE FUNCTION veilleur_keep_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    part text[] := string_to_array(current_setting('application_name'), ' ');
BEGIN
    IF part[2] = 'device' THEN
        INSERT INTO veilleur_undo (device, tab, k1, k2, k3, old)
            SELECT d.number, '{table}', {columns} FROM veilleur_devices AS d
            WHERE d.number = part[3]::bigint AND d.begun_id IS NOT NULL
                AND (d.done_id IS DISTINCT FROM d.begun_id OR d.done_ms < d.begun_ms);
    END IF;
    RETURN NULL;
END $$
"""
_BIND = """
CREATE OR REPLACE FUNCTION veilleur_bind() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    part text[] := string_to_array(current_setting('application_name'), ' ');
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE veilleur_devices SET jid = NULL WHERE jid = OLD.jid;
    ELSIF part[2] = 'device' THEN
        UPDATE veilleur_devices SET jid = NEW.jid WHERE number = part[3]::bigint;
    END IF;
    RETURN NULL;
END $$
"""
SESSIONS, SENDER_KEYS, PRE_KEYS = "whatsmeow_sessions", "whatsmeow_sender_keys", "whatsmeow_pre_keys"
DEVICE = "whatsmeow_device"
FENCED_TABLES = (DEVICE, SESSIONS, SENDER_KEYS, PRE_KEYS, "whatsmeow_identity_keys", "whatsmeow_app_state_sync_keys",
                 "whatsmeow_app_state_version")  # fmt: skip
_KEPT = (
    ("session_new", SESSIONS, "INSERT", "NEW.our_jid, NEW.their_id, NULL, NULL"),
    ("session_moved", SESSIONS, "UPDATE", "OLD.our_jid, OLD.their_id, NULL, OLD.session"),
    ("sender_key_new", SENDER_KEYS, "INSERT", "NEW.our_jid, NEW.chat_id, NEW.sender_id, NULL"),
    ("sender_key_moved", SENDER_KEYS, "UPDATE", "OLD.our_jid, OLD.chat_id, OLD.sender_id, OLD.sender_key"),
    ("pre_key_used", PRE_KEYS, "DELETE", "OLD.jid, OLD.key_id::text, OLD.uploaded::int::text, OLD.key"),
)


def _trigger(name: str, when: str, table: str, function: str) -> list[str]:
    return [
        f"DROP TRIGGER IF EXISTS veilleur_{name} ON {table}",
        f"CREATE TRIGGER veilleur_{name} {when} ON {table} {function}",
    ]


TABLES = (
    """CREATE TABLE IF NOT EXISTS veilleur_devices (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        session text NOT NULL UNIQUE, jid text UNIQUE, opening bigint NOT NULL, epoch bigint NOT NULL,
        begun_id text, begun_ms bigint, done_id text, done_ms bigint, doubt_id text, doubt_ms bigint,
        UNIQUE (number, opening)) WITH (fillfactor = 50)""",
    """CREATE TABLE IF NOT EXISTS veilleur_undo (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        device bigint NOT NULL REFERENCES veilleur_devices ON DELETE CASCADE,
        tab text NOT NULL, k1 text, k2 text, k3 text, old bytea)""",
    "CREATE INDEX IF NOT EXISTS veilleur_undo_by_device ON veilleur_undo (device)",
    "CREATE TABLE IF NOT EXISTS veilleur_device_schema (version integer NOT NULL, library text NOT NULL)",
)


def _statements() -> list[str]:
    made = [*TABLES, _FENCE, _BIND]
    for table in FENCED_TABLES:
        made += _trigger("fence", "BEFORE INSERT OR UPDATE OR DELETE", table,
                         "FOR EACH STATEMENT EXECUTE FUNCTION veilleur_fence()")  # fmt: skip
    made += _trigger("bind", "AFTER INSERT OR DELETE", DEVICE, "FOR EACH ROW EXECUTE FUNCTION veilleur_bind()")
    for name, table, when, columns in _KEPT:
        made.append(_KEEP.format(name=name, table=table, columns=columns))
        made += _trigger(name, f"AFTER {when}", table, f"FOR EACH ROW EXECUTE FUNCTION veilleur_keep_{name}()")
    return made


async def complete(connection: Any, library: str, make: Callable[[], Awaitable[None]]) -> None:
    """``make`` lets the library make its tables; ``library`` is its version. Raises errors of the driver."""
    if await _is_complete(connection, library):
        return
    # Held by the connection, not by a transaction: the library makes its tables on other connections.
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        if not await _is_complete(connection, library):
            await make()
            async with connection.transaction():
                for statement in _statements():
                    await connection.execute(statement)
                await connection.execute("DELETE FROM veilleur_device_schema")
                await connection.execute("INSERT INTO veilleur_device_schema VALUES ($1, $2)", VERSION, library)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def _is_complete(connection: Any, library: str) -> bool:
    if await connection.fetchval("SELECT to_regclass('veilleur_device_schema')") is None:
        return False
    found = await connection.fetchrow("SELECT version, library FROM veilleur_device_schema")
    return found is not None and tuple(found) == (VERSION, library)

"""The tables of the two roads of messages: journal, messages, outboxes, webhooks, events, keys, pushes.

Times are milliseconds since the epoch. Bodies are JSON bytes, read whole, never searched. No table points at another one:
a row of an outbox outlives what it tells of, and rows of a deleted session go with :mod:`bot_service.store.messages`.
"""

from __future__ import annotations

import sqlalchemy as sa

from bot_service.store.session_tables import metadata

_Sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("session", sa.String(64), nullable=False),
    sa.Column("chat", sa.String(128), nullable=False),
    sa.Column("message_id", sa.String(128), nullable=False),
    sa.Column("direction", sa.String(3), nullable=False),  # in, out
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("stored_ms", sa.BigInteger, nullable=False),
    # in: received; rows of versions before 0.3 also handled, unhandled. out: queued, sent, delivered, read, failed.
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("state_ms", sa.BigInteger, nullable=False),
    sa.Column("error", sa.String(300)),
    # How often the same message came again and was dropped.
    sa.Column("duplicates", sa.Integer, nullable=False, default=0),
    sa.Column("idempotency_key", sa.String(200)),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("messages_once", "session", "message_id", "chat", unique=True),
    sa.Index("messages_by_session", "session", "seq"),
    sa.Index("messages_by_chat", "session", "chat", "seq"),
    sa.Index("messages_by_idempotency_key", "session", "idempotency_key", unique=True),
)

send_outbox = sa.Table(
    "send_outbox",
    metadata,
    sa.Column("position", sa.String(18), primary_key=True),  # sorts by the time of acceptance
    sa.Column("session", sa.String(64), nullable=False),
    sa.Column("chat", sa.String(128), nullable=False),
    sa.Column("message_id", sa.String(128), nullable=False),
    sa.Column("queued_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_ms", sa.BigInteger, nullable=False),
    sa.Column("new_chat", sa.Boolean, nullable=False),
    sa.Column("known_chat", sa.Boolean, nullable=False),
    sa.Column("last_error", sa.String(300)),
    sa.Index("send_outbox_by_session", "session", "position"),
    sa.Index("send_outbox_by_message", "session", "message_id"),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(64)),  # none: every owner
    sa.Column("session", sa.String(64)),  # none: every session of the owner
    sa.Column("url", sa.String(2000), nullable=False),
    sa.Column("secret", sa.String(200), nullable=False),
    sa.Column("events", sa.LargeBinary, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
)

webhook_outbox = sa.Table(
    "webhook_outbox",
    metadata,
    sa.Column("webhook", sa.String(32), primary_key=True),
    sa.Column("event", sa.String(18), primary_key=True),  # sorts by the time of the event
    sa.Column("lane", sa.String(64), nullable=False),  # the session; rows of one lane go out in order
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("reply_to", sa.LargeBinary),  # where an answer {"reply": …} goes, for messages only
    sa.Column("state", sa.String(9), nullable=False),  # pending, aside, delivered, dead
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_ms", sa.BigInteger, nullable=False),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.String(300)),
    sa.Column("finished_ms", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("webhook_outbox_by_lane", "state", "webhook", "lane", "event"),
    sa.Index("webhook_outbox_by_event", "state", "event"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.String(18), primary_key=True),
    sa.Column("owner", sa.String(64)),
    sa.Column("session", sa.String(64)),
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

journal_positions = sa.Table(
    "journal_positions",
    metadata,
    sa.Column("file", sa.String(128), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("scopes", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger),
    sa.Column("last_used_ms", sa.BigInteger),
    sa.Column("revoked_ms", sa.BigInteger),
)

keepalive_pushes = sa.Table(
    "keepalive_pushes",
    metadata,
    sa.Column("boot_id", sa.String(64), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("received_ms", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

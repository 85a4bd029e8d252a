"""Queries on webhooks and their durable outbox, inside the caller's transaction.

States of a delivery: ``pending`` (in its lane, in order), ``aside`` (retried on its own while the
lane goes on), ``delivered``, ``dead`` (given up; can be replayed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store import webhook_health
from bot_service.store.metadata import SESSION_ID, columns, metadata
from bot_service.store.sessions import sessions
from bot_service.store.upsert import upsert

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(64)),  # none: every owner
    sa.Column("session", SESSION_ID),  # none: every session of the owner
    sa.Column("url", sa.String(2000), nullable=False),
    sa.Column("secret", sa.String(200), nullable=False),
    sa.Column("events", sa.LargeBinary, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("dialect", sa.String(20)),  # none: events as they are
    sa.Column("options", sa.LargeBinary),  # JSON of the dialect
    sa.Column("headers", sa.LargeBinary),  # JSON; none: no headers of its own
    sa.Column("old_secret", sa.String(200)),  # signs too, until the time beside it
    sa.Column("old_secret_until_ms", sa.BigInteger),
)

webhook_outbox = sa.Table(
    "webhook_outbox",
    metadata,
    sa.Column("webhook", sa.String(32), primary_key=True),
    sa.Column("event", sa.String(18), primary_key=True),  # sorts by the time of the event
    sa.Column("lane", SESSION_ID, nullable=False),  # the session; rows of one lane go out in order
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("reply_to", sa.LargeBinary),  # where a reply {"reply": …} goes, for messages only
    sa.Column("state", sa.String(9), nullable=False),  # pending, aside, delivered, dead
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_ms", sa.BigInteger, nullable=False),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.String(300)),
    sa.Column("finished_ms", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("tries", sa.LargeBinary),  # the last attempts as JSON
    sa.Index("webhook_outbox_by_lane", "state", "webhook", "lane", "event"),
    sa.Index("webhook_outbox_by_event", "state", "event"),
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """``owner`` None: every owner; ``session`` None: every session of the owner.

    ``dialect``: the API in which shape it gets events, None for this service's own; ``options`` is
    JSON that the dialect alone reads. ``headers`` go along with every request. ``old_secret`` signs
    beside ``secret`` until ``old_secret_until_ms``.
    """

    id: str
    owner: str | None
    session: str | None
    url: str
    secret: str
    events: tuple[str, ...]
    active: bool
    created_ms: int
    updated_ms: int
    dialect: str | None = None
    options: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    old_secret: str | None = None
    old_secret_until_ms: int | None = None

    def __repr__(self) -> str:
        return f"Webhook(id={self.id!r})"


class Delivery(msgspec.Struct, frozen=True):
    """One event for one webhook. ``reply_to`` is JSON and set for messages only; ``tries`` is JSON of the attempts."""

    webhook: str
    event: str
    lane: str
    type: str
    reply_to: bytes | None
    created_ms: int
    next_ms: int
    body: bytes
    state: str = "pending"
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None
    finished_ms: int | None = None
    tries: bytes | None = None


class DeliveryResult(msgspec.Struct, frozen=True):
    """What an attempt changes. ``finished_ms`` is set for delivered and dead deliveries."""

    webhook: str
    event: str
    state: str
    attempts: int
    next_ms: int
    last_status: int | None
    last_error: str | None
    finished_ms: int | None
    tries: bytes | None


_DELIVERIES = sa.select(*columns(webhook_outbox, Delivery))
_WAITING = ("pending", "aside")
# What is stored for a state as people see it; None for all of them.
STATES: dict[str | None, tuple[str, ...]] = {
    "dead": ("dead",),
    "pending": _WAITING,
    "delivered": ("delivered",),
    None: (*_WAITING, "dead", "delivered"),
}


CHANNEL = "veilleur_webhooks"


async def all_webhooks(connection: AsyncConnection) -> list[Webhook]:
    found = await connection.execute(sa.select(webhooks).order_by(webhooks.c.created_ms, webhooks.c.id))
    events, headers = msgspec.json.Decoder(tuple[str, ...]).decode, msgspec.json.Decoder(dict[str, str]).decode
    return [
        Webhook(**{**row._mapping, "events": events(row.events), "headers": headers(row.headers or b"{}")})
        for row in found
    ]


async def save_webhook(connection: AsyncConnection, webhook: Webhook) -> None:
    headers = msgspec.json.encode(webhook.headers) if webhook.headers else None
    row = asdict(webhook) | {"events": msgspec.json.encode(webhook.events), "headers": headers}
    await upsert(connection, webhooks, [row], key="id")


async def delete_webhook(connection: AsyncConnection, webhook_id: str) -> None:
    """Delete it with all its deliveries."""
    await connection.execute(webhooks.delete().where(webhooks.c.id == webhook_id))
    await connection.execute(webhook_outbox.delete().where(webhook_outbox.c.webhook == webhook_id))
    await webhook_health.forget(connection, [webhook_id])


async def insert(connection: AsyncConnection, rows: Sequence[Delivery]) -> None:
    if rows:
        await connection.execute(webhook_outbox.insert(), [msgspec.structs.asdict(row) for row in rows])


async def lanes_waiting(connection: AsyncConnection, *, without_session: bool = False) -> list[tuple[str, str]]:
    """(webhook, lane) of everything that waits in order; with ``without_session`` only what is of no stored session."""
    c = webhook_outbox.c
    query = sa.select(c.webhook, c.lane).where(c.state == "pending").distinct()
    if without_session:
        query = query.where(~sa.exists().where(sessions.c.id == c.lane))
    found = await connection.execute(query)
    return [(row[0], row[1]) for row in found]


async def asides_waiting(connection: AsyncConnection) -> dict[str, int]:
    """When the next delivery that each webhook retries on its own is due, in ms."""
    found = await connection.execute(
        sa.select(webhook_outbox.c.webhook, sa.func.min(webhook_outbox.c.next_ms))
        .where(webhook_outbox.c.state == "aside")
        .group_by(webhook_outbox.c.webhook)
    )
    return {row[0]: int(row[1]) for row in found}


async def in_lane(connection: AsyncConnection, webhook: str, lane: str, after: str, limit: int) -> list[Delivery]:
    """The oldest deliveries of a lane after the event ``after``, in order."""
    c = webhook_outbox.c
    query = _DELIVERIES.where(c.state == "pending", c.webhook == webhook, c.lane == lane, c.event > after)
    return [Delivery(*row) for row in await connection.execute(query.order_by(c.event).limit(limit))]


async def asides_due(connection: AsyncConnection, webhook: str, now_ms: int, limit: int) -> list[Delivery]:
    c = webhook_outbox.c
    query = _DELIVERIES.where(c.state == "aside", c.webhook == webhook, c.next_ms <= now_ms)
    return [Delivery(*row) for row in await connection.execute(query.order_by(c.next_ms).limit(limit))]


async def next_aside_ms(connection: AsyncConnection, webhook: str) -> int | None:
    c = webhook_outbox.c
    query = sa.select(sa.func.min(c.next_ms)).where(c.state == "aside", c.webhook == webhook)
    value = (await connection.execute(query)).scalar_one()
    return None if value is None else int(value)


async def record(connection: AsyncConnection, results: Sequence[DeliveryResult]) -> None:
    """Store the results of attempts."""
    if results:
        c = webhook_outbox.c
        rows = [msgspec.structs.asdict(result) for result in results]
        # SQLAlchemy reserves the names of columns for the values to set.
        for row in rows:
            row["at_webhook"], row["at_event"] = row.pop("webhook"), row.pop("event")
        found = (c.webhook == sa.bindparam("at_webhook")) & (c.event == sa.bindparam("at_event"))
        await connection.execute(webhook_outbox.update().where(found), rows)


async def release(connection: AsyncConnection, webhook: str, now_ms: int) -> None:
    """Make everything that waits for a retry due now: the receiver is back."""
    c = webhook_outbox.c
    waiting = (c.webhook == webhook) & c.state.in_(_WAITING) & (c.next_ms > now_ms)
    await connection.execute(webhook_outbox.update().where(waiting).values(next_ms=now_ms))


async def give_up(connection: AsyncConnection, webhook: str, before_ms: int, now_ms: int) -> int:
    """Turn every delivery created before ``before_ms`` into a dead letter. Returns how many."""
    c = webhook_outbox.c
    old = (c.webhook == webhook) & c.state.in_(_WAITING) & (c.created_ms < before_ms)
    changed = await connection.execute(webhook_outbox.update().where(old).values(state="dead", finished_ms=now_ms))
    return int(changed.rowcount)


async def replay(
    connection: AsyncConnection, webhook: str, now_ms: int, *, events: Sequence[str] | None = None, since: str = ""
) -> int:
    """Make deliveries to ``webhook`` due now: the dead letters from the event ``since`` on, or those named ``events``.

    Those named are sent again when they arrived too, and tried now when they wait on their own.
    Returns how many.
    """
    c = webhook_outbox.c
    query = webhook_outbox.update().where(c.webhook == webhook, c.event >= since)
    if events is None:
        query = query.where(c.state == "dead")
    else:
        query = query.where(c.state.in_(("dead", "delivered", "aside")), c.event.in_(events))
    changed = await connection.execute(
        query.values(state="aside", attempts=0, created_ms=now_ms, next_ms=now_ms, finished_ms=None)
    )
    return int(changed.rowcount)


async def in_lanes(connection: AsyncConnection, webhook: str, events: Sequence[str]) -> int:
    """How many of ``events`` wait in their lanes."""
    c = webhook_outbox.c
    query = sa.select(sa.func.count()).where(c.state == "pending", c.webhook == webhook, c.event.in_(events))
    return int((await connection.execute(query)).scalar_one())


class Filter(msgspec.Struct, frozen=True):
    """Which deliveries a page lists: ``state`` None for all states; ``since`` is an event.

    ``lane`` is a session; lanes that begin with ``lane_prefix`` are listed too. ``before`` is the event
    and the webhook of the delivery that the last page ended with.
    """

    state: str | None
    type: str | None = None
    lane: str | None = None
    lane_prefix: str | None = None
    since: str = ""
    before: tuple[str, str] | None = None


async def page(
    connection: AsyncConnection, webhook_ids: Sequence[str], wanted: Filter, *, limit: int
) -> list[Delivery]:
    """Newest first."""
    c = webhook_outbox.c
    matches = [c.webhook.in_(webhook_ids), c.event >= wanted.since]
    if wanted.type is not None:
        matches.append(c.type == wanted.type)
    if wanted.lane is not None:
        prefixed = sa.false() if wanted.lane_prefix is None else c.lane.startswith(wanted.lane_prefix, autoescape=True)
        matches.append((c.lane == wanted.lane) | prefixed)
    if wanted.before is not None:
        event, webhook = wanted.before
        matches.append((c.event < event) | ((c.event == event) & (c.webhook < webhook)))
    # A delivery may move on between two queries: the states are in the order in which it does, and the later one counts.
    found: dict[tuple[str, str], Delivery] = {}
    for state in STATES[wanted.state]:  # one query each, so that an index has the order
        query = _DELIVERIES.where(c.state == state, *matches).order_by(c.event.desc(), c.webhook.desc()).limit(limit)
        rows = [Delivery(*row) for row in await connection.execute(query)]
        found |= {(row.event, row.webhook): row for row in rows}
    return sorted(found.values(), key=lambda row: (row.event, row.webhook), reverse=True)[:limit]


async def get(connection: AsyncConnection, webhook: str, event: str) -> Delivery | None:
    c = webhook_outbox.c
    row = (await connection.execute(_DELIVERIES.where(c.webhook == webhook, c.event == event))).first()
    return Delivery(*row) if row else None


async def counts(connection: AsyncConnection) -> tuple[int, str | None]:
    """(number of dead letters, the oldest event that still waits for a webhook)."""
    c = webhook_outbox.c
    dead = await connection.execute(sa.select(sa.func.count()).select_from(webhook_outbox).where(c.state == "dead"))
    oldest = []
    for state in _WAITING:  # one query each, so that the index finds the minimum
        found = await connection.execute(sa.select(sa.func.min(c.event)).where(c.state == state))
        oldest.append(found.scalar_one())
    return int(dead.scalar_one()), min((event for event in oldest if event is not None), default=None)


async def counts_of(connection: AsyncConnection, webhook_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many deliveries wait (``pending``) and were given up (``dead``), by webhook; zeros are missing."""
    c, found = webhook_outbox.c, dict[str, dict[str, int]]()
    for shown in ("pending", "dead"):
        for state in STATES[shown]:  # one query each, so that the index alone answers it
            query = sa.select(c.webhook, sa.func.count()).where(c.state == state, c.webhook.in_(webhook_ids))
            for webhook, count in await connection.execute(query.group_by(c.webhook)):
                of_webhook = found.setdefault(webhook, {})
                of_webhook[shown] = of_webhook.get(shown, 0) + int(count)
    return found


async def prune(connection: AsyncConnection, delivered_before_ms: int, dead_before_ms: int, limit: int) -> int:
    """Delete old delivered and dead rows, at most ``limit`` of each. Returns how many."""
    c = webhook_outbox.c
    gone = 0
    for state, before in (("delivered", delivered_before_ms), ("dead", dead_before_ms)):
        old = sa.select(c.webhook, c.event).where(c.state == state, c.finished_ms < before).limit(limit)
        keys: list[Any] = [(row[0], row[1]) for row in await connection.execute(old)]
        if keys:
            found = sa.tuple_(c.webhook, c.event).in_(keys)
            gone += int((await connection.execute(webhook_outbox.delete().where(found))).rowcount)
    return gone


async def forget_session(connection: AsyncConnection, session: str) -> None:
    """Delete the webhooks of a deleted session with all their deliveries."""
    own = sa.select(webhooks.c.id).where(webhooks.c.session == session)
    await connection.execute(webhook_outbox.delete().where(webhook_outbox.c.webhook.in_(own)))
    await webhook_health.forget(connection, own)
    await connection.execute(webhooks.delete().where(webhooks.c.session == session))

"""Queries on webhooks and their durable outbox; every function runs inside the caller's transaction.

States of a delivery: ``pending`` (in its lane, in order), ``aside`` (retried by itself, the lane went on), ``delivered``,
``dead`` (given up; can be replayed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.message_tables import webhook_outbox, webhooks


@dataclass(frozen=True, slots=True)
class Webhook:
    """``owner`` None concerns every owner, ``session`` None every session of the owner. ``secret`` signs."""

    id: str
    owner: str | None
    session: str | None
    url: str
    secret: str
    events: tuple[str, ...]
    active: bool
    created_ms: int
    updated_ms: int

    def __repr__(self) -> str:
        return f"Webhook(id={self.id!r})"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook. ``reply_to`` is JSON and set for messages only."""

    webhook: str
    event: str
    lane: str
    type: str
    reply_to: bytes | None
    state: str
    created_ms: int
    attempts: int
    next_ms: int
    last_status: int | None
    last_error: str | None
    finished_ms: int | None
    body: bytes


def row_of_webhook(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "owner": webhook.owner,
        "session": webhook.session,
        "url": webhook.url,
        "secret": webhook.secret,
        "events": msgspec.json.encode(webhook.events),
        "active": webhook.active,
        "created_ms": webhook.created_ms,
        "updated_ms": webhook.updated_ms,
    }


async def all_webhooks(connection: AsyncConnection) -> list[Webhook]:
    found = await connection.execute(sa.select(webhooks).order_by(webhooks.c.created_ms, webhooks.c.id))
    return [
        Webhook(
            row.id,
            row.owner,
            row.session,
            row.url,
            row.secret,
            msgspec.json.decode(row.events, type=tuple[str, ...]),
            row.active,
            row.created_ms,
            row.updated_ms,
        )
        for row in found
    ]


async def save_webhook(connection: AsyncConnection, webhook: Webhook) -> None:
    row = row_of_webhook(webhook)
    changed = await connection.execute(webhooks.update().where(webhooks.c.id == webhook.id).values(**row))
    if changed.rowcount == 0:
        await connection.execute(webhooks.insert().values(**row))


async def delete_webhook(connection: AsyncConnection, webhook_id: str) -> None:
    """Delete it and whatever was on its way to it."""
    await connection.execute(webhooks.delete().where(webhooks.c.id == webhook_id))
    await connection.execute(webhook_outbox.delete().where(webhook_outbox.c.webhook == webhook_id))


async def insert(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(webhook_outbox.insert(), rows)


async def lanes_waiting(connection: AsyncConnection) -> list[tuple[str, str]]:
    """(webhook, lane) of everything that waits in order."""
    found = await connection.execute(
        sa.select(webhook_outbox.c.webhook, webhook_outbox.c.lane).where(webhook_outbox.c.state == "pending").distinct()
    )
    return [(row[0], row[1]) for row in found]


async def asides_waiting(connection: AsyncConnection) -> dict[str, int]:
    """When the next delivery of each webhook is due that is retried by itself, in ms."""
    found = await connection.execute(
        sa.select(webhook_outbox.c.webhook, sa.func.min(webhook_outbox.c.next_ms))
        .where(webhook_outbox.c.state == "aside")
        .group_by(webhook_outbox.c.webhook)
    )
    return {row[0]: int(row[1]) for row in found}


async def in_lane(connection: AsyncConnection, webhook: str, lane: str, after: str, limit: int) -> list[Delivery]:
    """The oldest deliveries of a lane behind the event ``after``, in order."""
    table = webhook_outbox
    found = await connection.execute(
        sa.select(table)
        .where(table.c.state == "pending", table.c.webhook == webhook, table.c.lane == lane, table.c.event > after)
        .order_by(table.c.event)
        .limit(limit)
    )
    return [Delivery(*row) for row in found]


async def asides_due(connection: AsyncConnection, webhook: str, now_ms: int, limit: int) -> list[Delivery]:
    table = webhook_outbox
    found = await connection.execute(
        sa.select(table)
        .where(table.c.state == "aside", table.c.webhook == webhook, table.c.next_ms <= now_ms)
        .order_by(table.c.next_ms)
        .limit(limit)
    )
    return [Delivery(*row) for row in found]


async def next_aside_ms(connection: AsyncConnection, webhook: str) -> int | None:
    table = webhook_outbox
    found = await connection.execute(
        sa.select(sa.func.min(table.c.next_ms)).where(table.c.state == "aside", table.c.webhook == webhook)
    )
    value = found.scalar_one()
    return None if value is None else int(value)


async def record(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    """Write results. Each row: ``w`` webhook, ``e`` event and the new values of the other columns."""
    if rows:
        table = webhook_outbox
        await connection.execute(
            table.update()
            .where(table.c.webhook == sa.bindparam("w"), table.c.event == sa.bindparam("e"))
            .values(
                state=sa.bindparam("s"),
                attempts=sa.bindparam("a"),
                next_ms=sa.bindparam("n"),
                last_status=sa.bindparam("st"),
                last_error=sa.bindparam("er"),
                finished_ms=sa.bindparam("f"),
            ),
            rows,
        )


async def release(connection: AsyncConnection, webhook: str, now_ms: int) -> None:
    """Make everything that waits for a retry due now: the receiver is back."""
    table = webhook_outbox
    await connection.execute(
        table.update()
        .where(table.c.webhook == webhook, table.c.state.in_(("pending", "aside")), table.c.next_ms > now_ms)
        .values(next_ms=now_ms)
    )


async def give_up(connection: AsyncConnection, webhook: str, before_ms: int, now_ms: int) -> int:
    """Everything for ``webhook`` that is older than ``before_ms`` becomes a dead letter; how many."""
    table = webhook_outbox
    changed = await connection.execute(
        table.update()
        .where(table.c.webhook == webhook, table.c.state.in_(("pending", "aside")), table.c.created_ms < before_ms)
        .values(state="dead", finished_ms=now_ms)
    )
    return int(changed.rowcount)


async def replay(connection: AsyncConnection, webhook: str, events: Sequence[str] | None, now_ms: int) -> int:
    """Dead letters of ``webhook`` (all, or those named) are tried again from now on; how many."""
    table = webhook_outbox
    query = table.update().where(table.c.webhook == webhook, table.c.state == "dead")
    if events is not None:
        query = query.where(table.c.event.in_(events))
    changed = await connection.execute(
        query.values(state="aside", attempts=0, created_ms=now_ms, next_ms=now_ms, finished_ms=None)
    )
    return int(changed.rowcount)


async def page(
    connection: AsyncConnection, webhook_ids: Sequence[str], *, state: str, limit: int, before: str | None
) -> list[Delivery]:
    """Newest first; ``before`` is the event to go on from."""
    table = webhook_outbox
    states = ("pending", "aside") if state == "pending" else (state,)
    query = sa.select(table).where(table.c.state.in_(states), table.c.webhook.in_(webhook_ids))
    if before is not None:
        query = query.where(table.c.event < before)
    found = await connection.execute(query.order_by(table.c.event.desc()).limit(limit))
    return [Delivery(*row) for row in found]


async def get(connection: AsyncConnection, webhook: str, event: str) -> Delivery | None:
    table = webhook_outbox
    row = (await connection.execute(sa.select(table).where(table.c.webhook == webhook, table.c.event == event))).first()
    return Delivery(*row) if row else None


async def counts(connection: AsyncConnection) -> tuple[int, str | None]:
    """(number of dead letters, the oldest event that still waits for a webhook)."""
    table = webhook_outbox
    dead = await connection.execute(sa.select(sa.func.count()).select_from(table).where(table.c.state == "dead"))
    oldest = []
    for state in ("pending", "aside"):
        found = await connection.execute(sa.select(sa.func.min(table.c.event)).where(table.c.state == state))
        oldest.append(found.scalar_one())
    return int(dead.scalar_one()), min((event for event in oldest if event is not None), default=None)


async def prune(connection: AsyncConnection, delivered_before_ms: int, dead_before_ms: int, limit: int) -> int:
    """Delete delivered and dead rows that are old enough, at most ``limit`` of each; how many went."""
    table = webhook_outbox
    gone = 0
    for state, before in (("delivered", delivered_before_ms), ("dead", dead_before_ms)):
        old = (
            sa.select(table.c.webhook, table.c.event)
            .where(table.c.state == state, table.c.finished_ms < before)
            .limit(limit)
        )
        keys = [(row[0], row[1]) for row in await connection.execute(old)]
        if keys:
            gone += int(
                (
                    await connection.execute(table.delete().where(sa.tuple_(table.c.webhook, table.c.event).in_(keys)))
                ).rowcount
            )
    return gone


async def forget_session(connection: AsyncConnection, session: str) -> None:
    """Delete the webhooks of a deleted session and what was on its way to them."""
    own = sa.select(webhooks.c.id).where(webhooks.c.session == session)
    await connection.execute(webhook_outbox.delete().where(webhook_outbox.c.webhook.in_(own)))
    await connection.execute(webhooks.delete().where(webhooks.c.session == session))

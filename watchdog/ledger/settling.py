"""After a delivery attempt: receipt, row, channel state, fallback; recovery at start.

Every function takes the connection of a running transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from watchdog.domain import notices
from watchdog.domain.alert import AlertPolicy, needs_fallback, retry_in_ms
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice
from watchdog.ledger import outbox
from watchdog.ledger.claiming import Claim
from watchdog.ledger.outbox import Channels

_FIRST = 5  # of the waiting notices of a channel


class Settled(msgspec.Struct, frozen=True):
    """``retry_in_ms`` after a failure; ``reported`` is the notice to the other channels."""

    retry_in_ms: int | None = None
    escalated: bool = False
    reported: Notice | None = None


class Try(msgspec.Struct, frozen=True):
    """One finished try. ``pick`` is the random number (0 to 1) of its backoff."""

    claim: Claim
    label: str
    delivered: Delivered
    took_ms: float
    pick: float


def settle(connection: sqlite3.Connection, tried: Try, channels: Channels, now_ms: int, policy: AlertPolicy) -> Settled:
    """Record the result of ``tried``. Only now, after sending, a row is done."""
    delivered = tried.delivered
    # Rows have other numbers when the ledger moved between memory and file during the send.
    row = connection.execute(
        "SELECT id FROM outbox WHERE notice_id = ? AND channel = ?", (tried.claim.notice.id, tried.claim.channel)
    ).fetchone()
    if row is None:
        return Settled()
    tried = msgspec.structs.replace(tried, claim=msgspec.structs.replace(tried.claim, row_id=row["id"]))
    claim = tried.claim
    connection.execute(
        "INSERT INTO delivery (outbox_id, at, duration_ms, ok, reason) VALUES (?, ?, ?, ?, ?)",
        (claim.row_id, now_ms, tried.took_ms, int(delivered.ok), delivered.reason),
    )
    connection.execute(
        "INSERT INTO channel (channel, label) VALUES (?, ?) ON CONFLICT (channel) DO UPDATE SET label = excluded.label",
        (claim.channel, tried.label),
    )
    if delivered.ok:
        _done(connection, claim, now_ms)
        return Settled()
    return _failed(connection, tried, channels, now_ms, policy)


def _done(connection: sqlite3.Connection, claim: Claim, now_ms: int) -> None:
    connection.execute(
        "UPDATE outbox SET state = 'done', done_at = ?, leased_until = NULL, reason = 'ok' WHERE id = ?",
        (now_ms, claim.row_id),
    )
    recovered = connection.execute(
        "UPDATE channel SET failures = 0, failing_since = NULL, retry_at = 0, asked_until = 0, reported = 0,"
        " last_ok_at = ?, last_reason = 'ok' WHERE channel = ? RETURNING seen_row",
        (now_ms, claim.channel),
    ).fetchone()
    if recovered["seen_row"]:
        # The channel works again: send what it kept back, but not a row that the receiver refused.
        connection.execute(
            "UPDATE outbox SET due_at = ? WHERE channel = ? AND state = 'waiting' AND due_at > ?"
            " AND reason NOT LIKE 'http_4%' AND reason NOT LIKE 'held:%'",
            (now_ms, claim.channel, now_ms),
        )
        connection.execute("UPDATE channel SET seen_row = 0 WHERE channel = ?", (claim.channel,))


def _failed(
    connection: sqlite3.Connection, tried: Try, channels: Channels, now_ms: int, policy: AlertPolicy
) -> Settled:
    claim, reason = tried.claim, tried.delivered.reason
    wait_ms = retry_in_ms(claim.tries, tried.delivered.retry_after_s, policy, tried.pick)
    connection.execute(
        "UPDATE outbox SET state = 'waiting', due_at = ?, leased_until = NULL, reason = ? WHERE id = ?",
        (now_ms + wait_ms, reason, claim.row_id),
    )
    asked_ms = min(int((tried.delivered.retry_after_s or 0) * 1000), policy.retry_after_cap_ms)
    failures, since, reported = connection.execute(
        "UPDATE channel SET failures = failures + 1, failing_since = coalesce(failing_since, ?), last_reason = ?,"
        " last_failed_at = ?, last_failure = ?, asked_until = ?, seen_row = ? WHERE channel = ?"
        " RETURNING failures, failing_since, reported",
        (now_ms, reason, now_ms, reason, now_ms + asked_ms if asked_ms else 0, claim.newest_row, claim.channel),
    ).fetchone()
    connection.execute(
        "UPDATE channel SET retry_at = ? WHERE channel = ?",
        (now_ms + retry_in_ms(failures, None, policy, tried.pick), claim.channel),
    )
    escalated = needs_fallback(claim.tries, now_ms - claim.created_at_ms, policy) and outbox.escalate(
        connection, claim.row_id, channels, now_ms
    )
    notice = None
    if failures >= policy.channel_failing_after and not reported:
        connection.execute("UPDATE channel SET reported = 1 WHERE channel = ?", (claim.channel,))
        notice = notices.channel_failing(
            claim.channel, tried.label, now_ms, since_ms=since, failures=failures, reason=reason
        )
        outbox.enqueue_everywhere(connection, notice, channels, but=claim.channel)
    return Settled(wait_ms, escalated, notice)


def recover(connection: sqlite3.Connection, channels: Channels, now_ms: int, policy: AlertPolicy) -> int:
    """At start: free leases of a crash, reroute rows of removed channels. Returns the waiting rows.

    Only one watchdog opens the ledger, so an old lease belongs to a dead process.
    """
    connection.execute(
        "UPDATE outbox SET state = 'waiting', leased_until = NULL, due_at = ? WHERE state = 'leased'", (now_ms,)
    )
    # Later than any rule sets: the wall clock was stepped back while the watchdog was off.
    furthest = now_ms + policy.retry_after_cap_ms + policy.backoff_cap_ms
    connection.execute("UPDATE outbox SET due_at = ? WHERE state = 'waiting' AND due_at > ?", (now_ms, furthest))
    connection.execute(
        "UPDATE channel SET retry_at = min(retry_at, ?), asked_until = min(asked_until, ?)", (furthest, furthest)
    )
    marks = ",".join("?" * len(channels.all))
    stranded = connection.execute(
        f"UPDATE outbox SET state = 'expired', reason = 'channel_removed', done_at = ? WHERE state = 'waiting' AND channel NOT IN ({marks}) RETURNING notice_id, created_at",  # noqa: S608
        (now_ms, *channels.all),
    ).fetchall()
    for row in stranded:
        _reroute(connection, row, channels, now_ms)
    return outbox.depth(connection, now_ms).rows


def _reroute(connection: sqlite3.Connection, row: sqlite3.Row, channels: Channels, now_ms: int) -> None:
    known = connection.execute(
        "SELECT 1 FROM outbox WHERE notice_id = ? AND channel != 'log' AND state IN ('done', 'waiting', 'merged') LIMIT 1",
        (row["notice_id"],),
    ).fetchone()
    if known is None:
        for channel in channels.primary:
            outbox.pass_on(connection, row["notice_id"], channel, "primary", row["created_at"], now_ms)


def shift(connection: sqlite3.Connection, step_ms: int) -> None:
    """The wall clock stepped by ``step_ms``: move the due times of waiting rows with it."""
    connection.execute(
        "UPDATE outbox SET due_at = due_at + ?, created_at = created_at + ?, leased_until = leased_until + ?"
        " WHERE state IN ('waiting', 'leased')",
        (step_ms, step_ms, step_ms),
    )
    connection.execute(
        "UPDATE channel SET retry_at = retry_at + ?, asked_until = asked_until + ? WHERE retry_at > 0 OR asked_until > 0",
        (step_ms, step_ms),
    )
    connection.execute("UPDATE incident SET last_notice_at = last_notice_at + ? WHERE closed_at IS NULL", (step_ms,))


class Waiting(msgspec.Struct, frozen=True, rename="camel"):
    """A notice that a channel has not got yet. ``reason`` of the last try, or why it is held."""

    target: str
    kind: str
    title: str
    created_at_ms: int
    due_at_ms: int
    tries: int
    reason: str


class ChannelState(msgspec.Struct, frozen=True, rename="camel"):
    """State of one channel. Times in ms since the epoch; ``failing_since_ms`` None: it works.

    ``waiting`` counts notices, ``first`` has the first of them to be sent.
    """

    id: str
    name: str
    role: str
    failures: int
    failing_since_ms: int | None
    last_ok_at_ms: int | None
    last_reason: str
    last_failed_at_ms: int | None
    last_failure: str
    waiting: int
    first: tuple[Waiting, ...] = ()


def channel_states(connection: sqlite3.Connection, channels: Channels, labels: Mapping[str, str]) -> list[ChannelState]:
    """Every configured channel, also those that were never used."""
    known = connection.execute(
        "SELECT channel, failures, failing_since, last_ok_at, last_reason, last_failed_at, last_failure FROM channel"
    )
    figures = {channel: rest for channel, *rest in known}
    waiting = dict(
        connection.execute(
            "SELECT channel, count(*) FROM outbox WHERE state IN ('waiting', 'leased') GROUP BY channel"
        ).fetchall()
    )
    states = []
    for channel in channels.all:
        name, role = channel_name(labels[channel], channel), channels.role(channel)
        count = waiting.get(channel, 0)
        first = _waiting(connection, channel) if count else ()
        failures, since, last_ok, reason, last_failed, failure = figures.get(channel, (0, None, None, "", None, ""))
        states.append(
            ChannelState(channel, name, role, failures, since, last_ok, reason, last_failed, failure, count, first)
        )
    return states


def _waiting(connection: sqlite3.Connection, channel: str) -> tuple[Waiting, ...]:
    found = connection.execute(
        "SELECT n.target, n.kind, json_extract(n.payload, '$.title'), o.created_at, o.due_at, o.tries, o.reason"
        " FROM outbox o JOIN notice n ON n.id = o.notice_id"
        " WHERE o.channel = ? AND o.state IN ('waiting', 'leased') ORDER BY o.due_at, o.id LIMIT ?",
        (channel, _FIRST),
    )
    return tuple(Waiting(*row) for row in found)


def channel_name(label: str | None, channel: str) -> str:
    """Printable name: scheme and four digits, no host, because some hosts are secrets."""
    if channel == "log":
        return "log"
    scheme = (label or "channel").partition("://")[0].partition(" ")[0]
    return f"{scheme} {channel[:4]}"

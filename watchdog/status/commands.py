"""What people may change at the watchdog, for the API and the operator's page alike.

Each raises :class:`shared.web.errors.Problem` when it cannot be done.
"""

from __future__ import annotations

import secrets
import sqlite3

from aiohttp import web

from shared.clock import epoch_ms
from shared.web import errors
from watchdog.domain import notices
from watchdog.domain.announcements import Announcement
from watchdog.domain.facts import Tick
from watchdog.domain.policy import Pause
from watchdog.domain.states import Incident
from watchdog.ledger import announcements, incidents, outbox, pauses, timeline
from watchdog.ledger.settling import channel_name
from watchdog.parts import PARTS
from watchdog.status import requests
from watchdog.status.requests import AnnouncementRequest, PauseRequest
from watchdog.status.schema import NoticeView
from watchdog.status.snapshot import SNAPSHOT


def _now_ms(app: web.Application) -> int:
    return epoch_ms(app[PARTS].base.clock)


async def begin_pause(app: web.Application, request: PauseRequest) -> Pause:
    """No alert and no repair within the window; it may begin later."""
    base = app[PARTS].base
    made = requests.pause_of(request, tuple(base.settings.targets), _now_ms(app))
    await base.ledger.write(lambda c: pauses.begin(c, made))
    await _pauses_changed(app)
    return made


async def end_pause(app: web.Application, pause_id: str) -> None:
    """What is wrong then is alerted then."""
    now_ms = _now_ms(app)
    if not await app[PARTS].base.ledger.write(lambda c: pauses.end(c, pause_id, now_ms)):
        raise errors.not_found("this open maintenance window")
    await _pauses_changed(app)


async def end_all_pauses(app: web.Application) -> list[str]:
    """Those that are still to come too. Returns their ids."""
    now_ms = _now_ms(app)
    ended = await app[PARTS].base.ledger.write(
        lambda c: [one.id for one in pauses.current(c, now_ms) if pauses.end(c, one.id, now_ms)]
    )
    await _pauses_changed(app)
    return ended


async def _pauses_changed(app: web.Application) -> None:
    parts = app[PARTS]
    await parts.pipeline.load_pauses()
    for target in parts.base.settings.targets:
        await parts.pipeline.process(target, Tick())
    app[SNAPSHOT].invalidate()


async def acknowledge(app: web.Application, incident_id: str, author: str) -> Incident:
    """Ends the reminders; the end of the incident is reported all the same. The first author stays."""
    now_ms = _now_ms(app)
    found = await app[PARTS].base.ledger.write(lambda c: incidents.acknowledge(c, incident_id, now_ms, author))
    if found is None:
        raise errors.not_found("this incident")
    if found.closed_at_ms is not None:
        raise errors.conflict("incident_over", "this incident is over: there is nothing to acknowledge")
    app[SNAPSHOT].invalidate()
    return found


async def send_test(app: web.Application, author: str, channel: str = "") -> NoticeView:
    """A test alert on every channel, or on the one with this id or name."""
    parts, now_ms = app[PARTS], _now_ms(app)
    channels, labels = parts.dispatcher.channels, parts.dispatcher.labels
    chosen = [one for one in channels.all if channel in ("", one, channel_name(labels[one], one))]
    if not chosen:
        raise errors.not_found("this channel")
    made = notices.test(f"test:{now_ms}-{secrets.token_hex(3)}", now_ms, author)

    def enqueue(connection: sqlite3.Connection) -> None:
        outbox.insert_notice(connection, made)
        for one in chosen:
            outbox.insert_row(connection, made.id, one, channels.role(one), now_ms)

    await parts.base.ledger.write(enqueue)
    parts.dispatcher.wake()
    app[SNAPSHOT].invalidate()
    receipts = await parts.base.ledger.read(lambda c: timeline.receipts(c, made.id))
    return NoticeView(made.id, tuple(receipts))


def ping(app: web.Application) -> list[str]:
    """A ping of every target starts now. Returns their names."""
    parts = app[PARTS]
    if not parts.base.settings.enabled:
        raise errors.conflict("disabled", "KEEP_ALIVE_ENABLED is false: nothing is pinged")
    for watch in parts.watches.values():
        watch.schedule.ping_now()
    return list(parts.watches)


async def restore_repair_budget(app: web.Application) -> dict[str, int]:
    """The repairs made so far do not count any more. Returns the budget of every target."""
    parts = app[PARTS]
    if not parts.base.settings.repairs_by:
        raise errors.conflict("repairs_off", "REMEDIATION is not set: there is no budget")
    left = {target: await parts.repairs.restore_budget(target) for target in parts.base.settings.targets}
    app[SNAPSHOT].invalidate()
    return left


async def announce(app: web.Application, request: AnnouncementRequest) -> Announcement:
    """Readers of the status page see it at once."""
    made = requests.announcement_of(request, _now_ms(app))
    await app[PARTS].base.ledger.write(lambda c: announcements.add(c, made))
    app[SNAPSHOT].invalidate()
    return made


async def end_announcement(app: web.Application, announcement_id: str) -> None:
    now_ms = _now_ms(app)
    if not await app[PARTS].base.ledger.write(lambda c: announcements.end(c, announcement_id, now_ms)):
        raise errors.not_found("this announcement")
    app[SNAPSHOT].invalidate()

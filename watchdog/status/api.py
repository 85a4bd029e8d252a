"""The watchdog's API: status, incidents, maintenance, acknowledgement, test alert, ping."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable

from aiohttp import web
from msgspec.structs import replace

from shared.clock import epoch_ms, to_ms
from shared.web import errors
from shared.web.body import json_response, read
from shared.web.middleware import Handler
from watchdog.domain import notices
from watchdog.domain.facts import Tick
from watchdog.domain.joint import Verdicts, verdict_of
from watchdog.domain.target import View
from watchdog.domain.uptime import Record
from watchdog.ledger import history, outbox, pauses, timeline
from watchdog.ledger import incidents as rows
from watchdog.parts import PARTS
from watchdog.status import badge
from watchdog.status.access import Access
from watchdog.status.requests import AcknowledgeRequest, PauseRequest, TestRequest, pause_of, plain
from watchdog.status.schema import IncidentView, NoticeView, incident_view, pause_view
from watchdog.status.snapshot import SNAPSHOT

_MOST_INCIDENTS = 100
_MOST_SPANS = 5000


def add_routes(app: web.Application, access: Access) -> None:
    """Readers get the first routes; the others need WATCHDOG_TOKEN."""
    for path, handler in (
        ("/api/status", status),
        ("/api/incidents", incidents),
        ("/api/incidents/{id}", incident),
        ("/api/notices/{id}", notice),
        ("/api/pause", list_pauses),
        ("/badge.svg", show_badge),
    ):
        app.router.add_get(path, _checked(handler, access.require_reader))
    for method, path, handler in (
        ("GET", "/api/verdicts", verdicts),
        ("GET", "/api/record", record),
        ("POST", "/api/pause", pause),
        ("DELETE", "/api/pause", end_pauses),
        ("DELETE", "/api/pause/{id}", end_pause),
        ("POST", "/api/incidents/{id}/ack", acknowledge),
        ("POST", "/api/test-alert", test_alert),
        ("POST", "/api/ping", ping),
        ("DELETE", "/api/repairs/budget", restore_repair_budget),
    ):
        app.router.add_route(method, path, _checked(handler, access.require_writer))


def _checked(handler: Handler, check: Callable[[web.Request], None]) -> Handler:
    async def checked(request: web.Request) -> web.StreamResponse:
        check(request)
        return await handler(request)

    return checked


async def status(request: web.Request) -> web.StreamResponse:
    return json_response(await request.app[SNAPSHOT].status())


async def incidents(request: web.Request) -> web.StreamResponse:
    """``limit`` (1 to 100), ``before`` (ms since the epoch: opened before that) and ``target``."""
    limit = _integer(request, "limit", 20, 1, _MOST_INCIDENTS)
    before = _integer(request, "before", None, 0, 1 << 53)
    found = await request.app[SNAPSHOT].incidents(
        limit=limit or 20, before_ms=before, target=request.query.get("target")
    )
    return json_response({"incidents": found})


async def incident(request: web.Request) -> web.StreamResponse:
    now_ms, name = epoch_ms(request.app[PARTS].base.clock), request.match_info["id"]

    def look(connection: sqlite3.Connection) -> IncidentView | None:
        found = rows.find_incident(connection, name)
        return None if found is None else incident_view(found, now_ms, timeline.timeline(connection, found, now_ms))

    found = await request.app[PARTS].base.ledger.read(look)
    if found is None:
        raise errors.not_found("this incident")
    return json_response(found)


async def notice(request: web.Request) -> web.StreamResponse:
    name = request.match_info["id"]
    receipts = await request.app[PARTS].base.ledger.read(lambda c: timeline.receipts(c, name))
    if not receipts:
        raise errors.not_found("this notice")
    return json_response(NoticeView(name, tuple(receipts)))


async def verdicts(request: web.Request) -> web.StreamResponse:
    """What this watchdog alone sees, for its peers (:mod:`watchdog.flow.peers`)."""
    parts = request.app[PARTS]
    base, now, policy = parts.base, parts.steady_time.now(), parts.pipeline.policy
    said = {}
    for name, state in parts.pipeline.states.items():
        last = parts.watches[name].counts.last
        found = verdict_of(state, policy, now)
        # Without its loop nothing is seen any more, whatever was seen last.
        view = View.BLIND if f"pings.{name}" in parts.loops.dead() else found.view
        said[name] = replace(found, view=view, age_ms=None if last is None else max(0, now.wall_ms - to_ms(last.at)))
    return json_response(Verdicts(base.settings.name, base.boot.boot_id, base.boot.version, said))


async def record(request: web.Request) -> web.StreamResponse:
    """What this watchdog itself recorded of ``target`` from ``from`` until ``until`` (ms since the epoch), for its peers."""
    target = request.query.get("target", "")
    if target not in request.app[PARTS].pipeline.states:
        raise errors.not_found("this target")
    from_ms, until_ms = (_integer(request, name, 0, 0, 1 << 53) or 0 for name in ("from", "until"))
    ledger = request.app[PARTS].base.ledger
    found = await ledger.read(lambda c: history.recorded(c, target, from_ms, until_ms, _MOST_SPANS))
    return json_response(Record(tuple(found)))


async def list_pauses(request: web.Request) -> web.StreamResponse:
    return json_response({"pauses": (await request.app[SNAPSHOT].status()).pauses})


async def show_badge(request: web.Request) -> web.StreamResponse:
    """``target`` (the first when not given), ``show`` = state or 24h, 7d, 30d, 90d, ``label``."""
    shown = await request.app[SNAPSHOT].status()
    wanted, show = request.query.get("target", shown.targets[0].name), request.query.get("show", "state")
    target = next((one for one in shown.targets if one.name == wanted), None)
    if target is None:
        raise errors.not_found("this target")
    label = plain(request.query.get("label", target.name), "label", 40)
    if show == "state":
        picture = badge.state_badge(label, target.state)
    elif show in target.uptime:
        picture = badge.uptime_badge(label, target, show)
    else:
        raise errors.invalid("show", f"must be state or one of {', '.join(target.uptime)}")
    return web.Response(text=picture, content_type="image/svg+xml", headers={"Cache-Control": "no-cache, max-age=60"})


async def pause(request: web.Request) -> web.StreamResponse:
    parts, now_ms = request.app[PARTS], epoch_ms(request.app[PARTS].base.clock)
    made = pause_of(await read(request, PauseRequest), tuple(parts.base.settings.targets), now_ms)
    await parts.base.ledger.write(lambda c: pauses.begin(c, made))
    await _pauses_changed(request.app)
    return json_response(pause_view(made, now_ms), status=201)


async def end_pause(request: web.Request) -> web.StreamResponse:
    now_ms, name = epoch_ms(request.app[PARTS].base.clock), request.match_info["id"]
    if not await request.app[PARTS].base.ledger.write(lambda c: pauses.end(c, name, now_ms)):
        raise errors.not_found("this open maintenance window")
    await _pauses_changed(request.app)
    return json_response({"ended": [name]})


async def end_pauses(request: web.Request) -> web.StreamResponse:
    """All of them."""
    now_ms = epoch_ms(request.app[PARTS].base.clock)
    ended = await request.app[PARTS].base.ledger.write(
        lambda c: [one.id for one in pauses.current(c, now_ms) if pauses.end(c, one.id, now_ms)]
    )
    await _pauses_changed(request.app)
    return json_response({"ended": ended})


async def _pauses_changed(app: web.Application) -> None:
    parts = app[PARTS]
    await parts.pipeline.load_pauses()
    for target in parts.base.settings.targets:
        await parts.pipeline.process(target, Tick())
    app[SNAPSHOT].invalidate()


async def acknowledge(request: web.Request) -> web.StreamResponse:
    """200 also when it was acknowledged before; 409 when it is over."""
    parts, name, now_ms = request.app[PARTS], request.match_info["id"], epoch_ms(request.app[PARTS].base.clock)
    given = await read(request, AcknowledgeRequest, optional=True)
    author = plain(given.author, "author") or "api"
    found = await parts.base.ledger.write(lambda c: rows.acknowledge(c, name, now_ms, author))
    if found is None:
        raise errors.not_found("this incident")
    if found.closed_at_ms is not None:
        raise errors.conflict("incident_over", "this incident is over: there is nothing to acknowledge")
    request.app[SNAPSHOT].invalidate()
    return json_response(incident_view(found, now_ms))


async def test_alert(request: web.Request) -> web.StreamResponse:
    """202 with the notice's id; ``GET /api/notices/{id}`` shows its state on every channel."""
    parts, now_ms = request.app[PARTS], epoch_ms(request.app[PARTS].base.clock)
    given = await read(request, TestRequest, optional=True)
    made = notices.test(f"test:{now_ms}-{secrets.token_hex(3)}", now_ms, plain(given.author, "author") or "the API")
    await parts.base.ledger.write(lambda c: outbox.enqueue_everywhere(c, made, parts.dispatcher.channels))
    parts.dispatcher.wake()
    receipts = await parts.base.ledger.read(lambda c: timeline.receipts(c, made.id))
    return json_response(NoticeView(made.id, tuple(receipts)), status=202)


async def ping(request: web.Request) -> web.StreamResponse:
    """202: a ping of every target starts now."""
    parts = request.app[PARTS]
    if not parts.base.settings.enabled:
        raise errors.conflict("disabled", "KEEP_ALIVE_ENABLED is false: nothing is pinged")
    for watch in parts.watches.values():
        watch.schedule.ping_now()
    return json_response({"targets": list(parts.watches)}, status=202)


async def restore_repair_budget(request: web.Request) -> web.StreamResponse:
    """Give back the whole repair budget. 409 when repairs are off."""
    parts = request.app[PARTS]
    if not parts.base.settings.repairs_by:
        raise errors.conflict("repairs_off", "REMEDIATION is not set: there is no budget")
    left = {target: await parts.repairs.restore_budget(target) for target in parts.base.settings.targets}
    request.app[SNAPSHOT].invalidate()
    return json_response({"budget": left})


def _integer(request: web.Request, name: str, default: int | None, low: int, high: int) -> int | None:
    raw = request.query.get(name)
    if raw is None:
        return default
    if not (raw.isascii() and raw.isdecimal()) or len(raw) > 16 or not low <= int(raw) <= high:
        raise errors.invalid(name, f"a whole number from {low} to {high}")
    return int(raw)

"""The watchdog's own API: status, incidents, maintenance windows, acknowledgements, test alerts, a ping on demand."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable

from aiohttp import web

from shared.web import errors
from shared.web.body import json_response, read
from shared.web.middleware import Handler
from watchdog import keys
from watchdog.domain import notices
from watchdog.domain.facts import Tick
from watchdog.flow.timing import epoch_ms
from watchdog.ledger import acknowledging, outbox, pauses, timeline
from watchdog.ledger import incidents as rows
from watchdog.status import badge
from watchdog.status.requests import AcknowledgeRequest, PauseRequest, TestRequest, pause_of, plain
from watchdog.status.schema import IncidentView, NoticeView, PauseView, incident_view

_MOST_INCIDENTS = 100


def add_routes(app: web.Application) -> None:
    """All routes on one page; the first to read, the others to change something."""
    access = app[keys.ACCESS]
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
        ("POST", "/api/pause", pause),
        ("DELETE", "/api/pause", end_pauses),
        ("DELETE", "/api/pause/{id}", end_pause),
        ("POST", "/api/incidents/{id}/ack", acknowledge),
        ("POST", "/api/test-alert", test_alert),
        ("POST", "/api/ping", ping),
        ("DELETE", "/api/repairs/budget", forgive_repairs),
    ):
        app.router.add_route(method, path, _checked(handler, access.require_writer))


def _checked(handler: Handler, check: Callable[[web.Request], None]) -> Handler:
    async def checked(request: web.Request) -> web.StreamResponse:
        check(request)
        return await handler(request)

    return checked


async def status(request: web.Request) -> web.StreamResponse:
    return json_response(await request.app[keys.GATHER].status())


async def incidents(request: web.Request) -> web.StreamResponse:
    """``limit`` (1 to 100), ``before`` (ms since the epoch: opened before that) and ``target``."""
    limit = _integer(request, "limit", 20, 1, _MOST_INCIDENTS)
    before = _integer(request, "before", None, 0, 1 << 53)
    found = await request.app[keys.GATHER].incidents(
        limit=limit or 20, before_ms=before, target=request.query.get("target")
    )
    return json_response({"incidents": found})


async def incident(request: web.Request) -> web.StreamResponse:
    now_ms, name = epoch_ms(request.app[keys.CLOCK]), request.match_info["id"]

    def look(connection: sqlite3.Connection) -> IncidentView | None:
        found = rows.find_incident(connection, name)
        return None if found is None else incident_view(found, now_ms, timeline.timeline(connection, found, now_ms))

    found = await request.app[keys.LEDGER].read(look)
    if found is None:
        raise errors.not_found("this incident")
    return json_response(found)


async def notice(request: web.Request) -> web.StreamResponse:
    name = request.match_info["id"]
    receipts = await request.app[keys.LEDGER].read(lambda c: timeline.receipts(c, name))
    if not receipts:
        raise errors.not_found("this notice")
    return json_response(NoticeView(name, tuple(receipts)))


async def list_pauses(request: web.Request) -> web.StreamResponse:
    return json_response({"pauses": (await request.app[keys.GATHER].status()).pauses})


async def show_badge(request: web.Request) -> web.StreamResponse:
    """``target`` (the first when not given), ``show`` = state or 24h, 7d, 30d, 90d, ``label``."""
    shown = await request.app[keys.GATHER].status()
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
    app, now_ms = request.app, epoch_ms(request.app[keys.CLOCK])
    made = pause_of(await read(request, PauseRequest), tuple(app[keys.SETTINGS].targets), now_ms)
    await app[keys.LEDGER].write(lambda c: pauses.begin(c, made))
    await _pauses_changed(app)
    shown = PauseView(made.id, made.target, made.from_ms, made.until_ms, made.author, made.reason, True)
    return json_response(shown, status=201)


async def end_pause(request: web.Request) -> web.StreamResponse:
    now_ms, name = epoch_ms(request.app[keys.CLOCK]), request.match_info["id"]
    if not await request.app[keys.LEDGER].write(lambda c: pauses.end(c, name, now_ms)):
        raise errors.not_found("this open maintenance window")
    await _pauses_changed(request.app)
    return json_response({"ended": [name]})


async def end_pauses(request: web.Request) -> web.StreamResponse:
    """All of them."""
    now_ms = epoch_ms(request.app[keys.CLOCK])
    ended = await request.app[keys.LEDGER].write(
        lambda c: [one.id for one in pauses.current(c, now_ms) if pauses.end(c, one.id, now_ms)]
    )
    await _pauses_changed(request.app)
    return json_response({"ended": ended})


async def _pauses_changed(app: web.Application) -> None:
    await app[keys.PIPELINE].pauses_changed()
    for target in app[keys.SETTINGS].targets:
        await app[keys.PIPELINE].take(target, Tick())
    app[keys.GATHER].forget()


async def acknowledge(request: web.Request) -> web.StreamResponse:
    """200 also when it was acknowledged before; 409 when it is over."""
    app, name, now_ms = request.app, request.match_info["id"], epoch_ms(request.app[keys.CLOCK])
    wish = await read(request, AcknowledgeRequest, optional=True)
    author = plain(wish.author, "author") or "api"
    found = await app[keys.LEDGER].write(lambda c: acknowledging.acknowledge(c, name, now_ms, author))
    if found is None:
        raise errors.not_found("this incident")
    if found.closed_at_ms is not None:
        raise errors.conflict("incident_over", "this incident is over: there is nothing to acknowledge")
    app[keys.GATHER].forget()
    return json_response(incident_view(found, now_ms))


async def test_alert(request: web.Request) -> web.StreamResponse:
    """202 with the notice's id; ``GET /api/notices/{id}`` tells how it fares on every channel."""
    app, now_ms = request.app, epoch_ms(request.app[keys.CLOCK])
    wish = await read(request, TestRequest, optional=True)
    made = notices.test(f"test:{now_ms}-{secrets.token_hex(3)}", now_ms, plain(wish.author, "author") or "the API")
    dispatcher = app[keys.DISPATCHER]
    await app[keys.LEDGER].write(lambda c: outbox.enqueue_everywhere(c, made, dispatcher.channels))
    dispatcher.kick()
    receipts = await app[keys.LEDGER].read(lambda c: timeline.receipts(c, made.id))
    return json_response(NoticeView(made.id, tuple(receipts)), status=202)


async def ping(request: web.Request) -> web.StreamResponse:
    """202: a ping of every target starts now."""
    if not request.app[keys.SETTINGS].enabled:
        raise errors.conflict("disabled", "KEEP_ALIVE_ENABLED is false: nothing is pinged")
    watches = request.app[keys.WATCHES]
    for watch in watches.values():
        watch.schedule.ping_now()
    return json_response({"targets": list(watches)}, status=202)


async def forgive_repairs(request: web.Request) -> web.StreamResponse:
    """The cause is mended: the whole repair budget is there again. 409 when repairs are off."""
    app = request.app
    if not set(app[keys.SETTINGS].remediation) - {"none"}:
        raise errors.conflict("repairs_off", "REMEDIATION is not set: there is no budget")
    left = {target: await app[keys.REPAIRS].forgive(target) for target in app[keys.SETTINGS].targets}
    app[keys.GATHER].forget()
    return json_response({"budget": left})


def _integer(request: web.Request, name: str, default: int | None, low: int, high: int) -> int | None:
    raw = request.query.get(name)
    if raw is None:
        return default
    if not (raw.isascii() and raw.isdecimal()) or len(raw) > 16 or not low <= int(raw) <= high:
        raise errors.invalid(name, f"a whole number from {low} to {high}")
    return int(raw)

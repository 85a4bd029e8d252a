"""The watchdog's API: status, incidents, maintenance, announcements, acknowledgement, test alert, ping, log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from aiohttp import web
from msgspec.structs import replace

from shared.clock import epoch_ms, to_ms
from shared.web import errors, log_lines
from shared.web.body import json_response, read
from shared.web.middleware import Handler
from watchdog.domain.joint import Verdicts, verdict_of
from watchdog.domain.target import View
from watchdog.domain.uptime import Record
from watchdog.ledger import history, timeline
from watchdog.ledger import incidents as rows
from watchdog.parts import PARTS
from watchdog.status import badge, commands, schema
from watchdog.status.access import ACCESS, Access
from watchdog.status.requests import AcknowledgeRequest, AnnouncementRequest, PauseRequest, TestRequest, plain
from watchdog.status.schema import IncidentView, NoticeView, StatusView, incident_view, pause_view
from watchdog.status.snapshot import SNAPSHOT

_MOST_INCIDENTS = 100
_MOST_SPANS = 5000
# Other sites show it.
_PICTURE = {"Cache-Control": "no-cache, max-age=60", "Cross-Origin-Resource-Policy": "cross-origin"}


def add_routes(app: web.Application, access: Access) -> None:
    """Readers get the first routes; the others need WATCHDOG_TOKEN."""
    app[ACCESS] = access
    log_lines.prepare(app)
    for path, handler in (
        ("/api/status", status),
        ("/api/incidents", incidents),
        ("/api/incidents/{id}", incident),
        ("/api/pause", list_pauses),
        ("/api/announcements", list_announcements),
        ("/badge.svg", show_badge),
    ):
        app.router.add_get(path, _checked(handler, access.require_reader))
    for method, path, handler in (
        ("GET", "/api/verdicts", verdicts),
        ("GET", "/api/record", record),
        ("GET", log_lines.PATH, log_lines.show),
        ("GET", log_lines.STREAM_PATH, log_lines.follow),
        ("GET", "/api/notices/{id}", notice),
        ("POST", "/api/pause", pause),
        ("DELETE", "/api/pause", end_pauses),
        ("DELETE", "/api/pause/{id}", end_pause),
        ("POST", "/api/announcements", announce),
        ("DELETE", "/api/announcements/{id}", end_announcement),
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


async def _view(request: web.Request) -> StatusView:
    """What this caller may see."""
    view = await request.app[SNAPSHOT].status()
    return view if request.app[ACCESS].sees_details(request) else schema.for_everybody(view)


async def status(request: web.Request) -> web.StreamResponse:
    return json_response(await _view(request))


async def incidents(request: web.Request) -> web.StreamResponse:
    """``limit`` (1 to 100), ``before`` (ms since the epoch: opened before that) and ``target``."""
    limit = _integer(request, "limit", 20, 1, _MOST_INCIDENTS)
    before = _integer(request, "before", None, 0, 1 << 53)
    found = await request.app[SNAPSHOT].incidents(
        limit=limit or 20, before_ms=before, target=request.query.get("target")
    )
    if not request.app[ACCESS].sees_details(request):
        found = [schema.incident_for_everybody(one) for one in found]
    return json_response({"incidents": found})


async def incident(request: web.Request) -> web.StreamResponse:
    now_ms, name = epoch_ms(request.app[PARTS].base.clock), request.match_info["id"]

    def look(connection: sqlite3.Connection) -> IncidentView | None:
        found = rows.find_incident(connection, name)
        return None if found is None else incident_view(found, now_ms, timeline.timeline(connection, found, now_ms))

    found = await request.app[PARTS].base.ledger.read(look)
    if found is None:
        raise errors.not_found("this incident")
    if not request.app[ACCESS].sees_details(request):
        found = schema.incident_for_everybody(found)
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
    return json_response({"pauses": (await _view(request)).pauses})


async def list_announcements(request: web.Request) -> web.StreamResponse:
    """Those that are shown now."""
    return json_response({"announcements": (await _view(request)).announcements})


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
        picture = badge.uptime_badge(label, target, show, shown.generated_at_ms)
    else:
        raise errors.invalid("show", f"must be state or one of {', '.join(target.uptime)}")
    return web.Response(text=picture, content_type="image/svg+xml", headers=_PICTURE)


async def pause(request: web.Request) -> web.StreamResponse:
    made = await commands.begin_pause(request.app, await read(request, PauseRequest))
    return json_response(pause_view(made, epoch_ms(request.app[PARTS].base.clock)), status=201)


async def end_pause(request: web.Request) -> web.StreamResponse:
    name = request.match_info["id"]
    await commands.end_pause(request.app, name)
    return json_response({"ended": [name]})


async def end_pauses(request: web.Request) -> web.StreamResponse:
    """All of them."""
    return json_response({"ended": await commands.end_all_pauses(request.app)})


async def announce(request: web.Request) -> web.StreamResponse:
    made = await commands.announce(request.app, await read(request, AnnouncementRequest))
    return json_response(schema.announcement_view(made), status=201)


async def end_announcement(request: web.Request) -> web.StreamResponse:
    name = request.match_info["id"]
    await commands.end_announcement(request.app, name)
    return json_response({"ended": [name]})


async def acknowledge(request: web.Request) -> web.StreamResponse:
    """200 also when it was acknowledged before; 409 when it is over."""
    given = await read(request, AcknowledgeRequest, optional=True)
    author = plain(given.author, "author") or "api"
    found = await commands.acknowledge(request.app, request.match_info["id"], author)
    return json_response(incident_view(found, epoch_ms(request.app[PARTS].base.clock)))


async def test_alert(request: web.Request) -> web.StreamResponse:
    """202 with the notice's id; ``GET /api/notices/{id}`` shows its state on every channel."""
    given = await read(request, TestRequest, optional=True)
    author = plain(given.author, "author") or "the API"
    return json_response(await commands.send_test(request.app, author, given.channel), status=202)


async def ping(request: web.Request) -> web.StreamResponse:
    """202: a ping of every target starts now."""
    return json_response({"targets": commands.ping(request.app)}, status=202)


async def restore_repair_budget(request: web.Request) -> web.StreamResponse:
    """Give back the whole repair budget. 409 when repairs are off."""
    return json_response({"budget": await commands.restore_repair_budget(request.app)})


def _integer(request: web.Request, name: str, default: int | None, low: int, high: int) -> int | None:
    raw = request.query.get(name)
    if raw is None:
        return default
    if not (raw.isascii() and raw.isdecimal()) or len(raw) > 16 or not low <= int(raw) <= high:
        raise errors.invalid(name, f"a whole number from {low} to {high}")
    return int(raw)

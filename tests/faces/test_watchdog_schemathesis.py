"""schemathesis over the API and the public pages of the watchdog, described here from the types that it answers with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot_service.access.principals import Scope
from bot_service.api.server.openapi import WebhookCalls, document
from bot_service.api.server.route import TEXT, Parameter, Response, Route
from shared.recent_log import LEVELS
from shared.version import VERSION
from shared.web.log_lines import LogPage
from tests.faces.test_command_coverage import WATCHDOG
from tests.faces.test_schemathesis import conforms
from tests.support import processes
from tests.support.processes import WATCHDOG_TOKEN
from watchdog.domain.joint import Verdicts
from watchdog.domain.uptime import Record
from watchdog.status.requests import AcknowledgeRequest, AnnouncementRequest, PauseRequest, TestRequest
from watchdog.status.schema import AnnouncementView, IncidentView, NoticeView, PauseView, StatusView

pytestmark = [pytest.mark.system, pytest.mark.properties, pytest.mark.deep, pytest.mark.long, pytest.mark.timeout(600)]


class Incidents(msgspec.Struct):
    incidents: list[IncidentView]


class Pauses(msgspec.Struct):
    pauses: list[PauseView]


class Announcements(msgspec.Struct):
    announcements: list[AnnouncementView]


class Ended(msgspec.Struct):
    ended: list[str]


class Targets(msgspec.Struct):
    targets: list[str]


class Budget(msgspec.Struct):
    budget: int


NUMBER = {"type": "integer", "minimum": 0, "maximum": 1 << 53}
TIME = {"type": "string", "format": "date-time"}


def page(path: str, media: str, *parameters: Parameter, problems: tuple[int, ...] = ()) -> Route:
    return _route("GET", path, 200, str, parameters=parameters, problems=problems, media=media)


def _route(method: str, path: str, status: int, answer: Any, media: str = "application/json", **more: Any) -> Route:
    described = Response("It is done.", answer, media=(media,))
    return Route(method, path, None, Scope.ADMIN, "Watchdog", path, path, {status: described}, **more)  # type: ignore[arg-type]


ROUTES = [
    _route("GET", "/api/status", 200, StatusView),
    _route("GET", "/api/incidents", 200, Incidents, problems=(422,), parameters=(
        Parameter("limit", "", {"type": "integer", "minimum": 1, "maximum": 100}), Parameter("before", "", NUMBER),
        Parameter("target", "", TEXT),
    )),
    _route("GET", "/api/incidents/{id}", 200, IncidentView, problems=(404,)),
    _route("POST", "/api/incidents/{id}/ack", 200, IncidentView, problems=(404, 409), body=AcknowledgeRequest, body_optional=True),
    _route("GET", "/api/pause", 200, Pauses),
    _route("POST", "/api/pause", 201, PauseView, body=PauseRequest, example={"minutes": 5, "text": "Back soon"}),
    _route("DELETE", "/api/pause", 200, Ended),
    _route("DELETE", "/api/pause/{id}", 200, Ended, problems=(404,)),
    _route("GET", "/api/announcements", 200, Announcements),
    _route("POST", "/api/announcements", 201, AnnouncementView, body=AnnouncementRequest, example={"title": "Slow"}),
    _route("DELETE", "/api/announcements/{id}", 200, Ended, problems=(404,)),
    _route("POST", "/api/test-alert", 202, NoticeView, body=TestRequest, body_optional=True, problems=(404,)),
    _route("GET", "/api/notices/{id}", 200, NoticeView, problems=(404,)),
    _route("POST", "/api/ping", 202, Targets, problems=(409,)),
    _route("DELETE", "/api/repairs/budget", 200, Budget, problems=(409,)),
    _route("GET", "/api/verdicts", 200, Verdicts),
    _route("GET", "/api/record", 200, Record, problems=(404, 422), parameters=(
        Parameter("target", "", {**TEXT, "enum": ["bot", "other"]}), Parameter("from", "", NUMBER), Parameter("until", "", NUMBER),
    )),
    _route("GET", "/api/logs", 200, LogPage, problems=(422,), parameters=(
        Parameter("level", "", {**TEXT, "enum": list(LEVELS)}), Parameter("event", "", TEXT), Parameter("session", "", TEXT),
        Parameter("since", "", TIME), Parameter("limit", "", {"type": "integer", "minimum": 1, "maximum": 1000}),
    )),
    page("/badge.svg", "image/svg+xml", Parameter("show", "", {**TEXT, "enum": ["state", "24h", "7d", "30d", "90d"]}),
         Parameter("label", "", TEXT), Parameter("target", "", {**TEXT, "enum": ["bot", "other"]}), problems=(404, 422)),
    page("/feed.atom", "application/atom+xml", Parameter("lang", "", {**TEXT, "enum": ["en", "fr", "es", "xx"]})),
    page("/embed", "text/html"),
    page("/", "text/html"),
]  # fmt: skip
STREAM = ("GET", "/api/logs/stream")


async def test_the_watchdog_meets_no_5xx_and_answers_as_its_types_say(tmp_path: Path) -> None:
    described = {(each.method, each.path) for each in ROUTES}
    assert described >= WATCHDOG.keys() - {STREAM}, "a route of the watchdog is not described here"
    written = tmp_path / "watchdog.json"
    written.write_bytes(document(ROUTES, version=VERSION, webhooks=WebhookCalls("", {}, [])))
    assert json.loads(written.read_text())["paths"]
    async with processes.watchdog(tmp_path, "http://127.0.0.1:1", ALERT_URLS="").running() as watchdog:
        for key in (WATCHDOG_TOKEN, None):
            text = await conforms(watchdog, key, "examples,coverage,fuzzing", schema=str(written))
            assert "Tested: 0" not in text
        assert not [event for event in watchdog.events() if event.get("event") == "http.crash"]

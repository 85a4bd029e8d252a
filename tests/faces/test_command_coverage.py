"""Every route of both programs has a command of ``veilleur`` that calls it, or a reason why not.

Each command runs with a client that only notes what it is asked.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from bot_service.api.server.routes import ROUTES
from shared.clock import SystemClock
from shared.settings import Secret
from shared.tools.cli import check
from shared.tools.cli.client import Answer, Client, CliError
from shared.tools.cli.commands import app
from tests.support.terminal import made_once
from watchdog.status import api
from watchdog.status.access import Access


class No(str):
    """Why a route has no command."""


GROUP = "120363041234567890@g.us"
PROGRAMS = No("between the two programs")
BOT: dict[tuple[str, str], str] = {
    ("GET", "/health"): "status",
    ("GET", "/readyz"): No("`check` asks /health, which says more"),
    ("GET", "/livez"): No("for a load balancer or HEALTHCHECK; `check` asks /health"),
    ("GET", "/metrics"): No("for Prometheus; `statistics` is for people"),
    ("GET", "/api/metrics"): "statistics",
    ("GET", "/api/attention"): "status",
    ("GET", "/api/logs"): "logs --program bot",
    ("GET", "/api/logs/stream"): "logs --program bot --follow",
    ("GET", "/api/replicas"): "replicas list",
    ("GET", "/api/replicas/{replicaId}/sessions"): "replicas sessions r1",
    ("GET", "/api/heartbeat"): PROGRAMS,
    ("POST", "/api/repair"): PROGRAMS,
    ("GET", "/api/keepalive"): No("`status` asks the watchdog itself"),
    ("POST", "/api/keepalive"): PROGRAMS,
    ("GET", "/api/openapi.json"): No("for programs and /docs"),
    ("POST", "/api/login-links"): "login-link",
    ("GET", "/api/sessions"): "sessions list",
    ("POST", "/api/sessions"): "sessions create alice",
    ("GET", "/api/sessions/{id}"): "sessions show alice",
    ("PATCH", "/api/sessions/{id}"): "sessions change alice --name Alice",
    ("DELETE", "/api/sessions/{id}"): "sessions delete alice --yes",
    ("POST", "/api/sessions/{id}/start"): "sessions start alice",
    ("POST", "/api/sessions/{id}/stop"): "sessions stop alice",
    ("POST", "/api/sessions/{id}/restart"): "sessions restart alice",
    ("POST", "/api/sessions/{id}/logout"): "sessions logout alice",
    ("POST", "/api/sessions/{id}/export"): "sessions export alice --passphrase-file PASSPHRASE",
    ("POST", "/api/sessions/import"): "sessions import MOVED --passphrase-file PASSPHRASE",
    ("POST", "/api/sessions/{id}/take-back"): "sessions take-back alice --yes",
    ("GET", "/api/sessions/{id}/qr"): "sessions qr alice --json --no-wait",
    ("POST", "/api/sessions/{id}/pairing-code"): "sessions pair alice 33612345678",
    ("GET", "/api/sessions/{id}/health"): "sessions health alice",
    ("GET", "/api/sessions/{id}/transitions"): "sessions history alice",
    ("POST", "/api/sessions/{id}/simulate"): "sessions simulate alice scan",
    ("POST", "/api/sessions/{id}/messages"): "messages send alice 33612345678 --text Hello",
    ("GET", "/api/sessions/{id}/messages"): "chats messages alice",
    ("GET", "/api/sessions/{id}/chats"): "chats list alice",
    ("GET", "/api/sessions/{id}/chats/{chatId}/messages"): No(
        "`chats messages --chat` gets the same by the route above"
    ),
    ("GET", "/api/sessions/{id}/messages/{messageId}"): "messages show alice M1",
    ("PUT", "/api/sessions/{id}/messages/{messageId}"): "messages edit alice M1 Hello",
    ("DELETE", "/api/sessions/{id}/messages/{messageId}"): "messages revoke alice M1 --yes",
    ("POST", "/api/sessions/{id}/messages/{messageId}/forward"): "messages forward alice M1 33612345678",
    ("GET", "/api/sessions/{id}/messages/{messageId}/media"): "messages download alice M1",
    ("PUT", "/api/sessions/{id}/messages/{messageId}/star"): "messages star alice M1",
    ("DELETE", "/api/sessions/{id}/messages/{messageId}/star"): "messages star alice M1 --off",
    ("POST", "/api/sessions/{id}/read"): "messages read alice 33612345678 M1",
    ("POST", "/api/sessions/{id}/typing"): "messages typing alice 33612345678",
    ("POST", "/api/sessions/{id}/status"): "messages status alice --text Hello",
    ("GET", "/api/sessions/{id}/channels"): "newsletters list alice",
    ("POST", "/api/sessions/{id}/channels"): "newsletters create alice News",
    ("GET", "/api/sessions/{id}/channels/{channelId}"): "newsletters show alice 120363041234567890@newsletter",
    ("PUT", "/api/sessions/{id}/channels/{channelId}/follow"): "newsletters follow alice 120363041234567890@newsletter",
    (
        "DELETE",
        "/api/sessions/{id}/channels/{channelId}/follow",
    ): "newsletters unfollow alice 120363041234567890@newsletter",
    ("PUT", "/api/sessions/{id}/channels/{channelId}/mute"): "newsletters mute alice 120363041234567890@newsletter",
    (
        "DELETE",
        "/api/sessions/{id}/channels/{channelId}/mute",
    ): "newsletters unmute alice 120363041234567890@newsletter",
    ("PUT", "/api/sessions/{id}/groups/{groupId}/picture"): f"groups picture alice {GROUP} PICTURE",
    ("GET", "/api/sessions/{id}/invitations/{code}"): "groups invited alice abc",
    ("POST", "/api/sessions/{id}/numbers"): "contacts check alice 33612345678",
    ("GET", "/api/sessions/{id}/picture"): "chats picture alice 33612345678",
    ("GET", "/api/sessions/{id}/groups"): "groups list alice",
    ("POST", "/api/sessions/{id}/groups"): "groups create alice Friends 33612345678",
    ("POST", "/api/sessions/{id}/groups/join"): "groups join alice abc",
    ("GET", "/api/sessions/{id}/groups/{groupId}"): f"groups show alice {GROUP}",
    ("PATCH", "/api/sessions/{id}/groups/{groupId}"): f"groups change alice {GROUP} --subject Friends",
    ("DELETE", "/api/sessions/{id}/groups/{groupId}"): f"groups leave alice {GROUP} --yes",
    ("POST", "/api/sessions/{id}/groups/{groupId}/members"): f"groups members add alice {GROUP} 33612345678",
    ("GET", "/api/sessions/{id}/groups/{groupId}/invite"): f"groups invite show alice {GROUP}",
    ("DELETE", "/api/sessions/{id}/groups/{groupId}/invite"): f"groups invite reset alice {GROUP}",
    ("GET", "/api/sessions/{id}/groups/{groupId}/requests"): f"groups requests list alice {GROUP}",
    ("POST", "/api/sessions/{id}/groups/{groupId}/requests"): f"groups requests approve alice {GROUP} 33612345678",
    ("GET", "/api/sessions/{id}/contacts"): "contacts list alice",
    ("GET", "/api/sessions/{id}/contacts/{contactId}"): "contacts show alice 33612345678",
    ("GET", "/api/sessions/{id}/lids/{contactId}"): "contacts lid alice 33612345678",
    ("GET", "/api/sessions/{id}/blocklist"): "contacts blocked alice",
    ("PUT", "/api/sessions/{id}/blocklist/{contactId}"): "contacts block alice 33612345678",
    ("DELETE", "/api/sessions/{id}/blocklist/{contactId}"): "contacts unblock alice 33612345678",
    ("GET", "/api/sessions/{id}/profile"): "profile show alice",
    ("PATCH", "/api/sessions/{id}/profile"): "profile set alice --name Alice",
    ("PUT", "/api/sessions/{id}/profile/picture"): "profile picture alice PICTURE",
    ("PUT", "/api/sessions/{id}/presence"): "profile presence alice available",
    ("POST", "/api/sessions/{id}/presence/follow"): "contacts follow alice 33612345678",
    ("POST", "/api/sessions/{id}/calls/{callId}/reject"): "calls reject alice C1 33612345678",
    ("GET", "/api/events"): "sessions watch",
    ("GET", "/api/webhooks"): "webhooks list",
    ("POST", "/api/webhooks"): "webhooks create https://shop.example.com/hook",
    ("GET", "/api/webhooks/{webhookId}"): "webhooks show wh-1",
    ("PATCH", "/api/webhooks/{webhookId}"): "webhooks pause wh-1",
    ("DELETE", "/api/webhooks/{webhookId}"): "webhooks delete wh-1 --yes",
    ("POST", "/api/webhooks/{webhookId}/test"): "webhooks test wh-1",
    ("POST", "/api/webhooks/{webhookId}/secret"): "webhooks rotate-secret wh-1",
    ("GET", "/api/deliveries"): "deliveries list",
    ("POST", "/api/deliveries/replay"): "deliveries resend wh-1",
    ("GET", "/api/deliveries/{webhookId}/{eventId}"): "deliveries show wh-1 E1",
    ("GET", "/api/keys"): "keys list",
    ("POST", "/api/keys"): "keys create Shop --owner shop",
    ("DELETE", "/api/keys/{keyId}"): "keys revoke key_1 --yes",
}
WATCHDOG: dict[tuple[str, str], str] = {
    ("GET", "/api/status"): "status",
    ("GET", "/api/incidents"): "incidents",
    ("GET", "/api/incidents/{id}"): "incident bot-down-1",
    ("POST", "/api/incidents/{id}/ack"): "ack bot-down-1",
    ("GET", "/api/pause"): "pauses",
    ("POST", "/api/pause"): "pause --for 30m --from 2h --text Back-soon",
    ("DELETE", "/api/pause"): "resume",
    ("DELETE", "/api/pause/{id}"): "resume pause-1",
    ("GET", "/api/announcements"): "announcements list",
    ("POST", "/api/announcements"): "announcements create Slow",
    ("DELETE", "/api/announcements/{id}"): "announcements end news-1",
    ("POST", "/api/test-alert"): "test-alert",
    ("GET", "/api/notices/{id}"): "test-alert",
    ("POST", "/api/ping"): "ping",
    ("DELETE", "/api/repairs/budget"): "repairs restore-budget",
    ("GET", "/api/logs"): "logs --program watchdog",
    ("GET", "/api/logs/stream"): "logs --program watchdog --follow",
    ("GET", "/api/verdicts"): No("between watchdogs"),
    ("GET", "/api/record"): No("between watchdogs"),
    ("GET", "/badge.svg"): No("a picture"),
}
# What a command is answered that asks again afterwards.
ANSWERS: dict[tuple[str, str], Any] = {
    ("GET", "/health"): {
        "status": "ok",
        "uptime": 1,
        "sessions": {"total": 1, "wanted": 1, "ready": 0, "needPerson": 1},
    },
    ("GET", "/api/sessions/alice/messages/M1"): {"media": {"name": "a.pdf"}},
    ("POST", "/api/test-alert"): {"id": "n1", "receipts": [{"state": "waiting", "reason": ""}]},
}


class Noted:
    """What the clients of both programs were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, str, str]] = []

        def request(client: Client, method: str, path: str, *_: Any, **__: Any) -> Answer:
            self.asked.append((client.name, method, path))
            if (method, path) in ANSWERS:
                return Answer(200, ANSWERS[method, path])
            raise CliError("noted", "noted", status=404)

        monkeypatch.setattr(Client, "request", request)
        monkeypatch.setattr(Client, "_open", request)
        monkeypatch.setattr("typer.testing._get_command", made_once)

    def called_by(self, command: str) -> list[tuple[str, str, str]]:
        self.asked.clear()
        result = CliRunner(env={"DATA_DIR": "/nonexistent"}).invoke(app, shlex.split(command))
        return self.asked if result.exit_code in (0, 1) else [(result.output, str(result.exception), "")]


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Noted:
    monkeypatch.chdir(tmp_path)
    for name, content in (("PASSPHRASE", b"twelve letters"), ("MOVED", b"{}"), ("PICTURE", b"\xff\xd8\xff")):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "PASSPHRASE").chmod(0o600)
    return Noted(monkeypatch)


def _fits(pattern: str, path: str, patterns: list[str]) -> bool:
    """Whether ``path`` is of the route ``pattern``, and of no other with fewer variables."""
    fitting = [each for each in patterns if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
    return bool(fitting) and min(fitting, key=lambda each: each.count("{")) == pattern


@pytest.mark.parametrize(("name", "table"), [("the bot service", BOT), ("the watchdog", WATCHDOG)])
def test_every_command_of_the_table_calls_its_route(noted: Noted, name: str, table: dict[tuple[str, str], str]) -> None:
    wrong = []
    for (method, pattern), command in table.items():
        if isinstance(command, No):
            continue
        patterns = [path for verb, path in table if verb == method]
        called = list(noted.called_by(command))
        if not any(who == name and verb == method and _fits(pattern, path, patterns) for who, verb, path in called):
            wrong.append((method, pattern, command, called))
    assert not wrong, "\n".join(map(str, wrong))


def test_every_route_of_the_bot_service_is_in_the_table() -> None:
    assert {(each.method, each.path) for each in ROUTES} == BOT.keys()


def test_every_route_of_the_watchdogs_api_is_in_the_table() -> None:
    made = web.Application()
    api.add_routes(made, Access(True, None, Secret("x" * 20), SystemClock()))
    served = {(each.method, each.resource.canonical) for each in made.router.routes() if each.resource is not None}
    assert {(method, path) for method, path in served if method != "HEAD"} == WATCHDOG.keys()


def test_check_asks_for_health(noted: Noted) -> None:
    check.ping("http://127.0.0.1:1", timeout_s=1, warn_ms=None)
    assert [(method, path) for _, method, path in noted.asked] == [("GET", "/health")]

"""Makes ``docs/cli.md``: the help of every command, and what the tables look like with a small installation behind them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
from typer.testing import CliRunner

from shared.tools.cli.commands import app
from tests.support.processes import ROOT
from tests.support.terminal import made_once

CLI = ROOT / "docs" / "cli.md"
SHOWN = (
    "status", "sessions list", "sessions show alice", "sessions history alice", "chats list alice", "chats messages alice",
    "keys list", "webhooks list", "webhooks show wh-5d1f", "deliveries list", "incidents", "pauses", "announcements list", "channels", "test-alert",
    "logs --program bot --session alice",
)  # fmt: skip
HEAD = """# The command line

`veilleur` is in both images and in the virtual environment. It finds addresses and keys by itself: in the environment, in `.env`, or
in the secrets made at the first start. With Docker: `docker compose exec bot veilleur …`. `make docs` makes this page.

- `--json` prints JSON. In a pipe a table has one line for each row, however long.
- Exit codes: 0 done, 1 failed or refused, 2 wrong use. `status` also ends with 1 when something is wrong. `check` has those of
  Nagios plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
- `veilleur --install-completion` sets up completion for bash, zsh, fish or PowerShell.
"""


def document() -> str:
    """The text of ``docs/cli.md``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", made_once)
        return _document()


def _document() -> str:
    lines = [HEAD, "## What it prints", ""]
    with _installation() as environ:
        for command in SHOWN:
            result = CliRunner(env=environ).invoke(app, command.split())
            output = re.sub(r"since .* UTC", "since 28 Nov 2026, 09:12 UTC", result.output)
            lines += ["```", f"$ veilleur {command}", *(line.rstrip() for line in output.splitlines()), "```", ""]
    lines += ["## Every command", ""]
    for name, command in _commands(typer.main.get_command(app), "veilleur"):
        if not hasattr(command, "commands"):
            lines += [f"### {name}", "", "```", *_help(name), "```", ""]
    return "\n".join(lines)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for each, found in getattr(command, "commands", {}).items():
        yield from _commands(found, f"{name} {each}")


def _help(name: str) -> list[str]:
    result = CliRunner(env={"COLUMNS": "100"}).invoke(
        app, [*name.split()[1:], "--help"], prog_name="veilleur", max_content_width=100
    )
    return [line.rstrip() for line in result.output.splitlines()]


def _ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat().replace("+00:00", "Z")


def _ago_ms(**span: float) -> int:
    return int((datetime.now(UTC) - timedelta(**span)).timestamp() * 1000)


def _session(name: str, state: str, reason: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name.lower(), "name": name, "owner": "shop", "state": state, "wanted": "run", "reason": reason, "detail": None,
        "acts": "service", "since": "2026-11-28T09:12:44.310Z", "createdAt": "2026-11-20T08:00:00.000Z",
        "lastActivityAt": _ago(hours=2, minutes=5), "paired": True, "jid": "33612345678@s.whatsapp.net", "pushName": name,
        "attempt": 0, "nextTryAt": None, "bannedUntil": None, "timelockedUntil": None, "metadata": {}, "proxy": None, **more,
    }  # fmt: skip


def _answers() -> dict[str, Any]:
    alice = _session("Alice", "READY", "connected")
    shown = {**alice, "lastActivityAt": "2026-11-28T09:12:50.108Z"}
    bob = _session("Bob", "RECONNECTING", "stream_error", attempt=3, nextTryAt="2026-11-28T09:13:10.000Z")
    message = {
        "id": "3EB0A1B2C3", "chat": "4915112345678@s.whatsapp.net", "direction": "in", "type": "text", "text": "Hello",
        "state": "handled", "at": _ago(hours=2, minutes=5),
    }  # fmt: skip
    notice = {"id": "test:1", "receipts": [
        {"channel": "slack", "role": "primary", "state": "done", "tries": 1, "reason": "", "doneAtMs": 1},
        {"channel": "mailtos", "role": "fallback", "state": "done", "tries": 1, "reason": "", "doneAtMs": 1},
    ]}  # fmt: skip
    hook = {
        "id": "wh-5d1f", "owner": "shop", "session": None, "url": "https://shop.example.com/hook", "events": ["message"],
        "active": True, "dialect": None, "headers": {"Authorization": "***"}, "oldSecretUntil": None,
        "health": {
            "state": "failing", "lastSuccessAt": _ago(hours=2, minutes=5), "lastFailureAt": _ago(minutes=4, seconds=30),
            "lastFailureStatus": 503, "lastFailureError": "http_503", "waiting": 2, "failed": 1, "nextAttemptAt": None,
        },
    }  # fmt: skip
    delivery = {
        "event": "06EXQZ3A9R00000ZN5", "webhook": "wh-5d1f", "type": "message", "session": "alice", "state": "dead",
        "attempts": 31, "lastStatus": 503, "lastError": "http_503", "createdAt": _ago(hours=25, minutes=5),
    }  # fmt: skip
    return {
        "/api/webhooks": {"webhooks": [hook]},
        "/api/webhooks/wh-5d1f": hook,
        "/api/deliveries": {"deliveries": [delivery], "next": None},
        "/health": {"status": "ok", "uptime": 7_500_000, "sessions": {"total": 2, "wanted": 2, "ready": 1, "needPerson": 0}},
        "/api/status": {"targets": [{"name": "bot", "state": "UP", "sinceMs": _ago_ms(hours=2, minutes=5), "reason": "first_answer"}],
            "channels": [
                {"name": "slack", "role": "primary", "failingSinceMs": None, "lastOkAtMs": _ago_ms(hours=2, minutes=5),
                 "lastFailedAtMs": None, "lastFailure": "", "waiting": 0},
                {"name": "mailtos", "role": "fallback", "failingSinceMs": 1, "lastOkAtMs": _ago_ms(hours=25, minutes=5),
                 "lastFailedAtMs": _ago_ms(minutes=4, seconds=30), "lastFailure": "answered 503", "waiting": 2},
            ]},
        "/api/sessions": {"sessions": [bob, alice], "total": 2, "next": None},
        "/api/sessions/alice": shown,
        "/api/sessions/alice/transitions": {"session": "alice", "transitions": [
            {"at": _ago(hours=2, minutes=5), "from": "SYNCING", "to": "READY", "reason": "connected"},
            {"at": _ago(hours=2, minutes=6), "from": "PAIRING", "to": "SYNCING", "reason": "paired"},
        ]},
        "/api/sessions/alice/chats": {"chats": [{"chat": message["chat"], "name": "Bob", "unread": 1, "last": message}], "next": None},
        "/api/sessions/alice/messages": {"messages": [message], "next": None},
        "/api/keys": {"keys": [{
            "id": "key_8f2c", "name": "Shop", "owner": "shop", "scopes": ["session", "read", "send"],
            "lastUsedAt": _ago(hours=2, minutes=5), "revokedAt": None, "expiresAt": None,
        }]},
        "/api/incidents": {"incidents": [{
            "id": "bot-down-20261128T091244-1", "target": "bot", "kind": "down", "reason": "connect_refused",
            "openedAtMs": _ago_ms(hours=2, minutes=5), "closedAtMs": 1, "lastedMs": 184_000,
        }]},
        "/api/test-alert": notice,
        "/api/pause": {"pauses": [{
            "id": "pause-1764320400000-a1b2c3", "target": "bot", "open": False, "fromMs": 1_796_205_600_000,
            "untilMs": 1_796_209_200_000, "author": "Ann", "reason": "upgrade", "text": "Back at 11",
        }]},
        "/api/announcements": {"announcements": [{
            "id": "news-1764320400000-d4e5f6", "severity": "info", "title": "Messages may be late",
            "createdAtMs": _ago_ms(hours=2, minutes=5), "untilMs": None, "author": "Ann",
        }]},
        "/api/logs": {"lines": [
            {"message": "Session RECONNECTING: stream_error", "level": "warning", "time": "2026-11-28T09:12:31.071482Z",
             "event": "session.state", "program": "bot", "session": "alice", "attempt": 1},
            {"message": "Session READY: connected", "level": "info", "time": "2026-11-28T09:12:44.310482Z",
             "event": "session.state", "program": "bot", "session": "alice"},
        ]},
    }  # fmt: skip


@contextmanager
def _installation() -> Iterator[dict[str, str]]:
    """A server that answers as both programs do; gives the environment for the commands."""
    answers = _answers()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = json.dumps(answers[urlsplit(self.path).path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield {"BOT_URL": url, "WATCHDOG_URL": url, "BOT_API_KEY": "", "DATA_DIR": "/nonexistent"}
        server.shutdown()

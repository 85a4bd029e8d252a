"""Texts of people and of programs in every command that prints some: they command no terminal and forge no line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.terminal import Terminal

HOSTILE = "[red]x[/] [link=file:///etc]y \x1b]0;owned\x07\x1b[2J\x9b2J\u202egpj\u2066\u2028\rz :smile:"
FORGED = f"{HOSTILE}\nFORGED line"
AT = "2026-11-30T12:00:00.000Z"
MEMBER = {"jid": FORGED, "admin": False, "at": AT, "error": 0}
GROUP = {"id": FORGED, "subject": FORGED, "description": FORGED, "members": [MEMBER], "announce": False}
MESSAGE = {
    "at": AT, "chat": FORGED, "direction": FORGED, "text": FORGED, "type": "text", "state": FORGED, "id": FORGED, "name": FORGED,
    "media": {"fileName": FORGED},
}  # fmt: skip
SESSION = {
    "id": FORGED, "name": FORGED, "state": FORGED, "reason": FORGED, "detail": FORGED, "lastActivityAt": AT, "owner": FORGED,
    "metadata": {FORGED: FORGED}, "wanted": FORGED, "proxy": FORGED,
}  # fmt: skip
PERSON = {
    "jid": FORGED,
    "name": FORGED,
    "pushName": FORGED,
    "lid": FORGED,
    "about": FORGED,
    "number": FORGED,
    "exists": True,
}
HEALTH = {
    "state": FORGED, "waiting": 1, "failed": 1, "lastFailureError": FORGED, "lastFailureAt": AT, "lastSuccessAt": AT, "nextAttemptAt": AT,
}  # fmt: skip
WEBHOOK = {
    "id": FORGED, "url": FORGED, "session": FORGED, "owner": FORGED, "active": True, "dialect": None, "events": [FORGED],
    "headers": {FORGED: FORGED}, "oldSecretUntil": FORGED, "health": HEALTH, "secret": FORGED,
}  # fmt: skip
DELIVERY = {
    "event": FORGED, "webhook": FORGED, "type": FORGED, "session": FORGED, "state": FORGED, "attempts": 1, "createdAt": AT,
    "nextAttemptAt": AT, "lastStatus": None, "lastError": FORGED, "request": {"url": FORGED, "headers": {FORGED: FORGED}},
    "body": {"text": FORGED}, "history": [{"at": AT, "status": None, "error": FORGED, "durationMs": 1, "answer": HOSTILE}],
}  # fmt: skip
# (command, the answer to what it asks for)
COMMANDS: list[tuple[str, Any]] = [
    ("sessions list", {"sessions": [SESSION], "total": 1, "next": FORGED}),
    ("sessions show one", SESSION),
    ("sessions history one", {"transitions": [{"at": AT, "from": FORGED, "to": FORGED, "reason": FORGED}], "next": FORGED}),
    ("chats list one", {"chats": [{"chat": FORGED, "name": FORGED, "unread": 1, "last": MESSAGE}], "next": FORGED}),
    ("chats messages one", {"messages": [MESSAGE], "next": FORGED}),
    ("messages show one M1", MESSAGE),
    ("groups list one", {"groups": [GROUP]}),
    ("groups show one G1", GROUP),
    ("groups members list one G1", GROUP),
    ("groups requests list one G1", {"requests": [MEMBER]}),
    ("groups members add one G1 336", {"members": [MEMBER]}),
    ("contacts list one", {"contacts": [PERSON], "next": FORGED}),
    ("contacts show one 336", PERSON),
    ("contacts lid one 336", PERSON),
    ("contacts check one 336", {"numbers": [PERSON]}),
    ("contacts blocked one", {"blocked": [FORGED, "33612345678@s.whatsapp.net"]}),
    ("profile show one", PERSON),
    ("proxy show one", SESSION),
    ("groups invite show one G1", {"link": FORGED}),
    ("groups create one Subject 336", {**GROUP, "members": [{"jid": FORGED, "error": FORGED}]}),
    ("groups change one G1 --subject x", GROUP),
    ("chats picture one 336", {"url": FORGED}),
    ("messages edit one M1 x", MESSAGE),
    ("sessions pair one 33612345678", {"code": FORGED}),
    ("sessions send one 336 x", MESSAGE),
    ("sessions change one --name x", SESSION),
    ("webhooks list", {"webhooks": [WEBHOOK], "next": FORGED}),
    ("webhooks rotate-secret W1", WEBHOOK),
    ("webhooks show W1", WEBHOOK),
    ("webhooks create https://shop.example.com", WEBHOOK | {"secret": FORGED}),
    ("deliveries list", {"deliveries": [DELIVERY], "next": FORGED}),
    ("deliveries show W1 E1", DELIVERY),
    ("keys create Shop --owner ann", {"id": FORGED, "key": FORGED}),
    (
        "logs",
        {"lines": [{"time": FORGED, "level": FORGED, "message": FORGED, "event": FORGED, "program": FORGED, "session": FORGED, "exception": FORGED}]},
    ),
    ("login-link", {"url": FORGED, "expiresAt": FORGED}),
    (
        "keys list",
        {"keys": [{"id": FORGED, "name": FORGED, "owner": FORGED, "scopes": [FORGED], "lastUsedAt": AT, "revokedAt": None, "expiresAt": FORGED}], "next": FORGED},
    ),
    (
        "incident I1",
        {
            "id": FORGED, "target": FORGED, "kind": FORGED, "reason": FORGED, "openedAtMs": 1, "closedAtMs": None, "lastedMs": 1,
            "acknowledgedBy": FORGED, "acknowledgedAtMs": 1, "timeline": [{"atMs": 1, "kind": FORGED, "text": FORGED}],
        },
    ),
    (
        "pauses",
        {"pauses": [{"id": FORGED, "target": FORGED, "open": True, "fromMs": 1, "untilMs": 2, "author": FORGED, "reason": FORGED, "text": FORGED}]},
    ),
    (
        "announcements list",
        {"announcements": [{"id": FORGED, "severity": FORGED, "title": FORGED, "createdAtMs": 1, "untilMs": None, "author": FORGED}]},
    ),
    (
        "channels",
        {"channels": [{"name": FORGED, "role": FORGED, "failingSinceMs": 1, "lastOkAtMs": None, "lastFailedAtMs": 1, "lastFailure": FORGED, "waiting": 1}]},
    ),
    (
        "repairs list",
        {
            "targets": [{"name": FORGED, "repairBudget": 1, "repairRefusal": FORGED, "repairRefusedAtMs": 1}],
            "repairs": [{"target": FORGED, "remediator": FORGED, "action": FORGED, "atMs": 1, "result": FORGED, "incidentId": FORGED}],
        },
    ),
    (
        "replicas list",
        {
            "replicas": [{"id": FORGED, "url": FORGED, "version": FORGED, "startedAt": None, "draining": False, "here": True,
                          "sessions": {"total": 1, "wanted": 1, "ready": 1}}],
            "unowned": {"total": 0, "wanted": 0, "ready": 0},
        },
    ),
    ("replicas sessions r1", {"sessions": [{"id": FORGED, "name": FORGED, "owner": FORGED, "state": FORGED, "wanted": FORGED}], "next": FORGED}),
    ("statistics", {"version": FORGED, "memory": {"rssBytes": FORGED}, "alerts": [FORGED]}),
    ("sessions health one", {"ready": True, "state": FORGED, "parts": {"link": {"ok": True, "detail": FORGED}}}),
    (
        "incidents",
        {"incidents": [{"id": FORGED, "target": FORGED, "kind": FORGED, "reason": FORGED, "openedAtMs": 1, "closedAtMs": None, "lastedMs": 1}]},
    ),
]  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    answer: Any = None
    status = 200

    def _answer(self) -> None:
        body = json.dumps(self.answer).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Events(Handler):
    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(f"event: session.state\ndata: {json.dumps(self.answer)}\n\n".encode())

    do_GET = _answer


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        serving = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield made
        made.shutdown()
        serving.join()


@pytest.fixture
def terminal(server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    url = f"http://127.0.0.1:{server.server_port}"
    # The watchdog has to prove itself before it gets the token: without one it is only read.
    monkeypatch.setenv("WATCHDOG_URL", url)
    return Terminal(tmp_path, url)


def acts(output: str) -> list[str]:
    """What of ``output`` commands a terminal, hides text or is a line that a text made."""
    found = [
        repr(each) for each in output if each in "\x1b\x07\x9b\r\u202e\u2066\u2028" or (ord(each) < 32 and each != "\n")
    ]
    return found + [line for line in output.split("\n") if line.lstrip().startswith("FORGED")]


@pytest.mark.parametrize(("command", "answer"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_no_text_of_an_answer_commands_a_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, command: str, answer: Any
) -> None:
    monkeypatch.setattr(Handler, "answer", answer)
    plain = terminal.run(command)
    assert plain.exit_code == 0, (plain.output, plain.exception)
    assert acts(plain.output) == []
    if not command.startswith("sessions change"):  # it says what was typed
        assert "[red]x[/]" in plain.output, "the text is shown, and its markup as it is"
        assert ":smile:" in plain.output
    as_json = terminal.run(command, "--json")
    assert as_json.exit_code == 0
    assert acts(as_json.output) == []
    assert "FORGED" in json.dumps(json.loads(as_json.output))


@pytest.mark.parametrize("command", ["sessions list", "messages show one M1", "groups list one"])
def test_no_text_of_a_refusal_commands_a_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(Handler, "status", 409)
    monkeypatch.setattr(Handler, "answer", {"code": HOSTILE, "detail": HOSTILE, "status": 409})
    for more in ((), ("--json",)):
        refused = terminal.run(command, *more)
        assert refused.exit_code == 1
        assert acts(refused.output) == []
        assert "[red]x[/]" in refused.output


def test_no_event_commands_a_terminal(
    server: ThreadingHTTPServer, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {"session": FORGED, "timestamp": AT, "data": {"state": FORGED, "reason": FORGED}}
    monkeypatch.setattr(Events, "answer", event)
    server.RequestHandlerClass = Events
    for more in ((), ("--json",)):
        seen = terminal.run("sessions watch --count 1", *more)
        assert seen.exit_code == 0, (seen.output, seen.exception)
        assert acts(seen.output) == []
        assert "[red]x[/]" in seen.output

"""Every operation of the API in words, on one table; a route without a row here fails a test."""

from __future__ import annotations

from bot_service.api.messages import openapi as delivery_described
from bot_service.api.server.openapi import Answer, Operation, Parameter
from bot_service.api.sessions import schemas
from bot_service.domain.states import State
from shared.contract import health, heartbeat

ONE = "/api/sessions/{id}"
SESSION = {"id": "boutique"}
TEXT = {"type": "string"}


def limit(most: int, default: int) -> Parameter:
    """How many rows an answer holds at most."""
    return Parameter(
        "limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    )


EXAMPLE_SESSION = {
    "id": "boutique",
    "name": "Boutique Lyon",
    "owner": "main",
    "state": "READY",
    "wanted": "run",
    "reason": "synced",
    "detail": None,
    "acts": "nobody",
    "since": "2026-11-23T09:16:02.000Z",
    "createdAt": "2026-11-20T08:00:00.000Z",
    "lastActivityAt": "2026-11-23T09:20:11.000Z",
    "paired": True,
    "jid": "33612345678:3@s.whatsapp.net",
    "pushName": "Boutique",
    "attempt": 0,
    "nextTryAt": None,
    "bannedUntil": None,
    "timelockedUntil": None,
    "metadata": {"shop": "lyon-2"},
}

EXAMPLE_HEALTH = {
    "status": "ok",
    "uptime": 962000,
    "version": "0.1.0",
    "bootId": "06E9ZQ4WJ0000008K3",
    "sessions": {"total": 12, "ready": 12},
    "clientVersion": {"version": "2.3000.1047769893", "source": "published", "ageDays": 12.3, "outdated": False},
}


def _session(about: str) -> Answer:
    return Answer(about, schemas.SessionView, example=EXAMPLE_SESSION)


def _command(verb: str, summary: str, about: str) -> Operation:
    return Operation(
        "POST", f"{ONE}/{verb}", "Sessions", summary, about, {200: _session("The session as it is now.")},
        problems=(409, 502, 504), path_examples=SESSION,
    )  # fmt: skip


SESSIONS = [
    Operation(
        "GET", "/api/sessions", "Sessions", "List sessions",
        "In the order in which they were made. A key that is not an administrator's sees its owner's sessions only.",
        {200: Answer("A page of sessions.", schemas.SessionPage,
                     example={"sessions": [EXAMPLE_SESSION], "total": 1, "next": None})},
        parameters=(
            Parameter("q", "Text to look for in id and name.", {"type": "string", "maxLength": 200}),
            Parameter("state", "Only sessions in this state.", {"type": "string", "enum": [each.value for each in State]}),
            Parameter("owner", "Only this owner's sessions; for administrators.", TEXT),
            Parameter("after", "The `next` of the page before.", TEXT),
            limit(500, 50),
        ),
    ),
    Operation(
        "POST", "/api/sessions", "Sessions", "Create a session",
        "Makes a session and, unless `start` is false, begins to connect it: a QR code can be fetched a moment later.",
        {201: _session("The new session; `Location` leads to it.")},
        body=schemas.CreateSession, body_optional=True, problems=(409,),
        example={"id": "boutique", "name": "Boutique Lyon", "metadata": {"shop": "lyon-2"}},
    ),
    Operation(
        "GET", ONE, "Sessions", "Look at a session", "From memory: it waits for nothing.",
        {200: _session("The session.")}, path_examples=SESSION,
    ),
    Operation(
        "PATCH", ONE, "Sessions", "Change a session", "Name, owner and metadata; what is not given stays.",
        {200: _session("The session as it is now.")}, body=schemas.ChangeSession, path_examples=SESSION,
        example={"name": "Boutique Lyon 2"},
    ),
    Operation(
        "DELETE", ONE, "Sessions", "Delete a session",
        "Removes the session, its pairing, messages and files. Log out before, or the phone goes on showing the link.",
        {204: Answer("It is gone.")}, path_examples=SESSION,
    ),
    _command("start", "Start a session", "Idempotent. Wants the session to run from now on, over restarts too."),
    _command("stop", "Stop a session", "Idempotent. The pairing stays; nothing starts it again but a start."),
    _command("restart", "Restart a session", "Ends the connection and makes a new one. The pairing stays."),
    _command("logout", "Log out", "Unlinks the phone and keeps the row. 409 while a linked session is not connected."),
    Operation(
        "GET", f"{ONE}/qr", "Sessions", "Fetch the QR code",
        "The code to scan now. It changes about every 20 s: fetch it again at `expiresAt`. 409 when there is none.",
        {200: Answer(
            "As JSON, PNG, SVG or text, by `format` or `Accept`.", schemas.QrView,
            media=("application/json",), binary=("image/png", "image/svg+xml", "text/plain"),
            example={"qr": "2@AbCd…", "expiresAt": "2026-11-23T09:16:22.000Z", "round": 1},
        )},
        parameters=(
            Parameter("format", "What to answer with.", {"type": "string", "enum": ["json", "png", "svg", "text"]}),
        ),
        problems=(406, 409), path_examples=SESSION,
    ),
    Operation(
        "POST", f"{ONE}/pairing-code", "Sessions", "Get a pairing code",
        "A code to type on the phone instead of scanning. 409 when the session is not waiting for a phone.",
        {200: Answer("The code.", schemas.PairingCodeView,
                     example={"code": "ABCD-EFGH", "expiresAt": "2026-11-23T09:18:42.000Z"})},
        body=schemas.PairByCode, problems=(409, 502, 504), path_examples=SESSION, example={"phone": "33612345678"},
    ),
    Operation(
        "GET", f"{ONE}/health", "Sessions", "Is it really ready?",
        "Each part of readiness with its age: connected, authenticated, frames, receiving.",
        {200: Answer("The parts.", schemas.SessionHealthView)}, path_examples=SESSION,
    ),
    Operation(
        "GET", f"{ONE}/transitions", "Sessions", "What happened to it", "The kept changes of state, newest first.",
        {200: Answer("The changes.", schemas.TransitionList)}, path_examples=SESSION,
    ),
    Operation(
        "POST", f"{ONE}/simulate", "Sessions", "Drive the simulator",
        "Only with `ENGINE=simulator`, 404 otherwise. `action` is what the simulated phone or server does: "
        "scan, message, drop, silence and others; the other fields are its arguments.",
        {200: Answer("What the action gave.", schemas.Simulated)},
        body=schemas.Simulate, problems=(409, 502, 504), path_examples=SESSION, example={"action": "scan"},
    ),
]  # fmt: skip

SERVICE = [
    Operation(
        "GET", "/health", "Service", "Health",
        "From memory. 200 with zero sessions connected, and while WhatsApp refuses the client version.",
        {200: Answer("Well.", health.Healthy, example=EXAMPLE_HEALTH), 503: Answer("Not well, with every reason.", health.Unhealthy)},
    ),
    Operation(
        "GET", "/readyz", "Service", "Readiness", "`/health` without details.",
        {200: Answer("Well.", schemas.Status), 503: Answer("Not well.", schemas.Status)},
    ),
    Operation(
        "GET", "/livez", "Service", "Liveness",
        "Whether the event loop turned lately; answered by a thread when it did not.",
        {200: Answer("It turns.", schemas.Liveness), 503: Answer("It is stalled.", schemas.Liveness)},
    ),
    Operation(
        "GET", "/metrics", "Service", "Prometheus metrics", "The text format of Prometheus.",
        {200: Answer("The metrics.", str, media=("text/plain", "application/openmetrics-text"))},
    ),
    Operation(
        "POST", "/api/login-links", "Service", "Make a login link",
        "An address that signs in to the dashboard as administrator, once, within an hour.",
        {201: Answer("The link.", schemas.LoginLink,
                     example={"url": "http://localhost:3000/login?code=…", "expiresAt": "2026-11-23T10:16:02.000Z"})},
    ),
    Operation(
        "GET", "/api/openapi.json", "Service", "This description", "OpenAPI 3.1, made from the types that validate.",
        {200: Answer("The document.", dict)},
    ),
]  # fmt: skip

WATCHDOG = [
    Operation(
        "GET", heartbeat.PATH, "Watchdog", "Heartbeat",
        "Server-sent events `beat` at every interval (`shared/contract/heartbeat.py`), and `stopping` before a planned stop.",
        {200: Answer("The stream; it has no end.", str, media=("text/event-stream",))},
    ),
    Operation(
        "POST", "/api/repair", "Watchdog", "Repair sessions",
        "What the watchdog may ask for. It never undoes what a person wants.",
        {202: Answer("It begins.", schemas.RepairView, example={"action": "reconnect_session", "sessions": 3})},
        body=schemas.Repair, problems=(404, 409, 502, 504), example={"action": "reconnect_session"},
    ),
]  # fmt: skip

OPERATIONS = [*SESSIONS, *SERVICE, *WATCHDOG, *delivery_described.OPERATIONS]

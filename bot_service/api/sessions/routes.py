"""The routes of sessions, described."""

from __future__ import annotations

from bot_service.access.principals import Scope
from bot_service.api.server.route import LIMIT, TEXT, Parameter, Response, Route
from bot_service.api.sessions import handlers, pairing, transfers
from bot_service.api.sessions.views import (
    AttentionList,
    PairingCodeView,
    QrView,
    SessionHealthView,
    SessionPage,
    SessionView,
    Simulate,
    Simulated,
    TransitionList,
)
from bot_service.domain.session_record import CommandKind
from bot_service.domain.states import State
from bot_service.sessions.commands import ChangeSession, CreateSession
from bot_service.transfers.imports import ImportSession
from shared.web.middleware import Handler

ONE = "/api/sessions/{id}"

_EXAMPLE = {
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
    "exportedAt": None,
    "metadata": {"shop": "lyon-2"},
    "proxy": None,
}


def _session(description: str) -> Response:
    return Response(description, SessionView, example=_EXAMPLE)


def _command(verb: str, handler: Handler, summary: str, description: str) -> Route:
    return Route(
        "POST", f"{ONE}/{verb}", handler, Scope.SESSION, "Sessions", summary, description,
        {200: _session("The session as it is now.")}, problems=(409, 502, 504),
    )  # fmt: skip


ROUTES = [
    Route(
        "GET", "/api/sessions", handlers.index, Scope.READ,
        "Sessions", "List sessions",
        "In the order in which they were made. A key that is not an administrator's sees its owner's sessions only.",
        {200: Response("A page of sessions.", SessionPage,
                     example={"sessions": [_EXAMPLE], "total": 1, "next": None})},
        parameters=(
            Parameter("q", "Text to look for in id, name and linked telephone number.", {"type": "string", "maxLength": 200}),
            Parameter("state", "Only sessions in this state.", {"type": "string", "enum": [each.value for each in State]}),
            Parameter("owner", "Only this owner's sessions; for administrators.", TEXT),
            Parameter("after", "The `next` of the page before.", TEXT),
            LIMIT,
        ),
    ),
    Route(
        "POST", "/api/sessions", handlers.create, Scope.SESSION,
        "Sessions", "Create a session",
        "Makes a session and, unless `start` is false, begins to connect it: a QR code can be fetched a moment later. "
        "Without `id` the session gets one that reads like its name, or a random one.",
        {201: _session("The new session; `Location` leads to it.")},
        body=CreateSession, body_optional=True, problems=(409,),
        example={"id": "boutique", "name": "Boutique Lyon", "metadata": {"shop": "lyon-2"}},
    ),
    Route(
        "GET", "/api/attention", handlers.attention, Scope.READ,
        "Sessions", "Sessions that need a person",
        "Sessions that cannot go on, or receive, without a person: what happened, what to do, and a link. "
        "Alerts go out for the same sessions. A key that is not an administrator's sees its owner's sessions only.",
        {200: Response("The sessions.", AttentionList, example={"sessions": [{
            "session": "boutique", "name": "Boutique Lyon", "need": "logged_out", "severity": "critical",
            "what": "The phone unlinked the session.", "todo": "Start the session and scan the code with the phone.",
            "since": "2026-11-23T09:16:02.000Z", "link": "https://bot.example.org/sessions/boutique",
        }]})},
    ),
    Route(
        "GET", ONE, handlers.read, Scope.READ,
        "Sessions", "Get a session", "From memory: it waits for nothing.",
        {200: _session("The session.")},
    ),
    Route(
        "PATCH", ONE, handlers.change, Scope.SESSION,
        "Sessions", "Change a session", "Name, owner, metadata and proxy; what is not given stays. A proxy takes effect at the next start, so restart the session.",
        {200: _session("The session as it is now.")}, body=ChangeSession,
        example={"name": "Boutique Lyon 2"},
    ),
    Route(
        "DELETE", ONE, handlers.delete, Scope.SESSION,
        "Sessions", "Delete a session",
        "Removes the session, its pairing, messages and files. Log out before, or the phone goes on showing the link.",
        {204: Response("Deleted.")},
    ),
    _command("start", handlers.command(CommandKind.START), "Start a session", "Idempotent. Wants the session to run from now on, over restarts too."),
    _command("stop", handlers.command(CommandKind.STOP), "Stop a session", "Idempotent. The pairing stays; nothing starts it again but a start."),
    _command("restart", handlers.command(CommandKind.RESTART), "Restart a session", "Ends the connection and makes a new one. The pairing stays."),
    _command("logout", handlers.logout, "Log out", "Unlinks the phone and keeps the row. 409 while a linked session is not connected."),
    Route(
        "POST", f"{ONE}/export", transfers.export, Scope.ADMIN,
        "Sessions", "Export the pairing",
        "For a move to another service: stops the session for good and gives its pairing, settings, webhooks and "
        "waiting messages as one file, encrypted with the passphrase. The session is FENCED (`exported`) and never "
        "logs in here again until it is taken back. Once more: the same content, should the file be lost. "
        "409 `not_paired` without a phone.",
        {200: Response("The file, in base64.", transfers.ExportedView,
                     example={"session": "boutique", "file": "dmVpbGxldXItcGFpcmluZwo…"})},
        body=transfers.ExportSession, problems=(409, 502, 504), example={"passphrase": "correct horse battery staple"},
    ),
    Route(
        "POST", "/api/sessions/import", transfers.import_, Scope.ADMIN,
        "Sessions", "Import a pairing",
        "Makes a session with the pairing of an exported file and starts it, without a new QR code. Refused with the "
        "field that is wrong: 422 `passphrase` or `file` (wrong, damaged, of another engine or version), 409 `exists` "
        "(`id`), 409 `already_paired` when this service has the pairing.",
        {201: _session("The new session; `Location` leads to it.")},
        body=ImportSession, problems=(409, 507),
        example={"file": "dmVpbGxldXItcGFpcmluZwo=", "passphrase": "correct horse battery staple"},
    ),
    Route(
        "POST", f"{ONE}/take-back", transfers.take_back, Scope.ADMIN,
        "Sessions", "Take an exported pairing back",
        "Only when no other service uses it: two that log in with one pairing disconnect each other. The session is "
        "STOPPED then; messages that waited when it was exported stay failed. 409 `not_exported`.",
        {200: _session("The session as it is now.")}, problems=(409, 502, 504),
    ),
    Route(
        "GET", f"{ONE}/qr", pairing.qr, Scope.SESSION,
        "Sessions", "Fetch the QR code",
        "The code to scan now. It changes about every 20 s: fetch it again at `expiresAt`. 409 when there is none.",
        {200: Response(
            "As JSON, PNG, SVG or text, by `format` or `Accept`.", QrView,
            media=("application/json",), binary=("image/png", "image/svg+xml", "text/plain"),
            example={"qr": "2@AbCd…", "expiresAt": "2026-11-23T09:16:22.000Z", "round": 1},
        )},
        parameters=(
            Parameter("format", "What to answer with.", {"type": "string", "enum": ["json", "png", "svg", "text"]}),
        ),
        problems=(406, 409),
    ),
    Route(
        "POST", f"{ONE}/pairing-code", pairing.pairing_code, Scope.SESSION,
        "Sessions", "Get a pairing code",
        "A code to type on the phone instead of scanning. 409 when the session is not waiting for a phone.",
        {200: Response("The code.", PairingCodeView,
                     example={"code": "ABCD-EFGH", "expiresAt": "2026-11-23T09:18:42.000Z"})},
        body=pairing.PairByCode, problems=(409, 502, 504), example={"phone": "33612345678"},
    ),
    Route(
        "GET", f"{ONE}/health", handlers.health, Scope.READ,
        "Sessions", "Session health",
        "Each part of readiness with its age: connected, authenticated, frames, receiving.",
        {200: Response("The parts.", SessionHealthView)},
    ),
    Route(
        "GET", f"{ONE}/transitions", handlers.transitions, Scope.READ,
        "Sessions", "What happened to it", "The kept changes of state, newest first.",
        {200: Response("The changes.", TransitionList)},
    ),
    Route(
        "POST", f"{ONE}/simulate", handlers.simulate, Scope.SESSION,
        "Sessions", "Drive the simulator",
        "Only with `ENGINE=simulator`, 404 otherwise. `action` is what the simulated phone or server does: "
        "scan, message, drop, silence and others; the other fields are its arguments.",
        {200: Response("What the action gave.", Simulated)},
        body=Simulate, problems=(409, 502, 504), example={"action": "scan"},
    ),
]  # fmt: skip

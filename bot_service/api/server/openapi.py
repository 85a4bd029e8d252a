"""Builds the OpenAPI 3.1 document from the route table and the types that validate requests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bot_service.access.principals import Scope
from bot_service.api.server.route import JSON, Route
from shared.web.errors import PROBLEM_TYPE


class FieldFault(msgspec.Struct, frozen=True):
    """One field that cannot be used."""

    field: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457. ``code`` is stable and meant for programs, ``detail`` for people; ``errors`` names
    fields."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldFault] = []


_PROBLEMS = {
    400: "The request is not what HTTP or JSON allow.",
    401: "A key is needed.",
    403: "The key is not known, or lacks the scope.",
    404: "It does not exist, or belongs to another owner.",
    406: "None of the media types that are accepted is offered.",
    408: "The body arrives too slowly.",
    409: "The state of things does not allow it; the document says which state.",
    413: "The body is too large.",
    415: "The body is encoded: it is taken without `Content-Encoding` only.",
    422: "A field or parameter cannot be used; the document names it.",
    429: "Too much for now; ``Retry-After`` says when again.",
    502: "The engine refused.",
    504: "The engine did not answer in time.",
    507: "There is no room for the file.",
    503: "The store does not take writes just now, the service stops, or the session changes its replica (`session_moving`).",
}


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One type of event that is posted to webhooks, with the type of its whole body and an example."""

    type: str
    description: str
    body: Any
    example: Any


@dataclass(frozen=True, slots=True)
class WebhookCalls:
    """What is posted to webhooks. ``description`` and ``headers`` are those of every request."""

    description: str
    headers: Mapping[str, str]
    events: Sequence[WebhookEvent]


def document(routes: Sequence[Route], *, version: str, webhooks: WebhookCalls) -> bytes:
    """The whole description as JSON; every type in use becomes one component."""
    types: dict[Any, None] = {ProblemDocument: None} | dict.fromkeys(event.body for event in webhooks.events)
    for route in routes:
        types |= dict.fromkeys(_types(route))
    schemas, components = msgspec.json.schema_components(list(types), ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Veilleur bot service",
                "version": version,
                "summary": "WhatsApp sessions that stay connected.",
                "description": _ABOUT,
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/", "description": "This service"}],
            "security": [{"bearer": []}, {"header": []}],
            "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
            "paths": paths,
            "webhooks": {
                event.type: {"post": _webhook(webhooks, event, schema_of[event.body])} for event in webhooks.events
            },
            "components": {
                "schemas": components,
                "responses": {str(status): _problem_response(about) for status, about in _PROBLEMS.items()},
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
                    "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "The same key."},
                },
            },
        }
    )


TAGS = {
    "Sessions": "WhatsApp accounts linked to this service: make, pair, start, stop, remove, and how they are.",
    "Messages": "Sending, and the state of what was sent.",
    "Contacts": "What WhatsApp knows of numbers and people.",
    "Profile": "The own account: name, text, picture, and whether it is online.",
    "Calls": "Calls that arrive. They can be rejected, not answered.",
    "Groups": "Group chats of an account.",
    "Channels": "WhatsApp channels that an account owns or follows.",
    "Events": "What happens, as a stream and as webhooks.",
    "Keys": "Who may call what.",
    "Watchdog": "What the watchdog and the bot service exchange, and what the public may read of it.",
    "Service": "How this process is.",
}

_ABOUT = (
    "JSON in camelCase; times are ISO 8601 in UTC, durations are milliseconds unless the name says otherwise. "
    "Errors are problem documents (RFC 9457) with a stable `code`. Send a key as `Authorization: Bearer <key>`, "
    "and bodies without `Content-Encoding`."
)


def _webhook(calls: WebhookCalls, event: WebhookEvent, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "webhook_" + event.type.replace(".", "_"),
        "tags": ["Events"],
        "summary": event.description,
        "description": calls.description,
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}
            for name, about in calls.headers.items()
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": schema, "example": event.example}}},
        "responses": {"2XX": {"description": "Taken. Anything else, or no answer, and it comes again."}},
    }


def _types(route: Route) -> list[Any]:
    found = [response.type for response in route.responses.values() if _is_json_type(response.type)]
    return found + ([route.body] if route.body is not None else [])


def _is_json_type(type_: Any) -> bool:
    return type_ is not None and type_ not in (str, bytes)


def _operation(route: Route, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.id,
        "tags": [route.tag],
        "summary": route.summary,
        "description": f"{route.description}\n\n{_SCOPES[route.scope]}",
        "responses": _responses(route, schema_of),
    }
    if route.scope is Scope.PUBLIC:
        operation["security"] = []
    elif route.scope is Scope.STATS:
        operation["security"] = [{}, {"bearer": []}]
    parameters = [_PATH_PARAMETERS[name] for name in _PATH_PARAMETER.findall(route.path)] + [
        {
            "name": each.name,
            "in": each.location,
            "required": False,
            "description": each.description,
            "schema": each.schema,
        }
        for each in route.parameters
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content: dict[str, Any] = {"schema": schema_of[route.body]}
        if route.example is not None:
            content["example"] = route.example
        operation["requestBody"] = {"required": not route.body_optional, "content": {JSON: content}}
    return operation


_SCOPES = {
    Scope.PUBLIC: "Needs no key.",
    Scope.STATS: "Needs no key while `PUBLIC_STATS` is true, otherwise a key with the scope `read`.",
    Scope.METRICS: "Needs `METRICS_TOKEN` when that is set.",
    Scope.WATCHDOG: "Needs `WATCHDOG_TOKEN`.",
    Scope.ADMIN: "Needs the scope `admin`.",
    Scope.SESSION: "Needs the scope `session`.",
    Scope.READ: "Needs the scope `read`.",
    Scope.SEND: "Needs the scope `send`.",
}
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    name: {
        "name": name,
        "in": "path",
        "required": True,
        "description": about,
        "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    }
    for name, about in {
        "id": "The session's id.",
        "messageId": "The message's id.",
        "chatId": "A chat: a JID, or a number with country code.",
        "contactId": "A person: a number with country code, or a JID.",
        "callId": "The call's id.",
        "channelId": "The JID of a channel, with or without `@newsletter`, or the code at the end of its link.",
        "code": "The code at the end of an invitation link.",
        "groupId": "The JID of a group, with or without `@g.us`.",
        "webhookId": "The webhook's id.",
        "eventId": "The event's id.",
        "replicaId": "The id of one lease of a replica, from `GET /api/replicas`.",
        "keyId": "The key's id.",
    }.items()
}
_PATH_PARAMETERS["id"]["example"] = "boutique"


def _responses(route: Route, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, response in route.responses.items():
        described: dict[str, Any] = {"description": response.description}
        if response.type is not None or response.binary:
            schema = schema_of[response.type] if _is_json_type(response.type) else {"type": "string"}
            content = {"schema": schema} | ({"example": response.example} if response.example is not None else {})
            media = response.media if response.type is not None else ()
            described["content"] = dict.fromkeys(media, content) | {name: {} for name in response.binary}
        found[str(status)] = described
    for status in _problems(route):
        found.setdefault(str(status), {"$ref": f"#/components/responses/{status}"})
    return dict(sorted(found.items()))


def _problems(route: Route) -> set[int]:
    """The problems that a route of this shape may answer with."""
    statuses = set(route.problems)
    if route.scope is not Scope.PUBLIC:
        statuses |= {401, 403}
    if "{" in route.path:
        statuses |= {404, 422}
    if route.parameters:
        statuses |= {422}
    if route.body is not None:
        statuses |= {400, 408, 413, 415, 422}
    if route.method != "GET" or "/api/sessions/{id}/" in route.path:
        statuses |= {503}
    return statuses


def _problem_response(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }

"""OpenAPI 3.1 from one table of operations and the types that validate: what is described is what is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bot_service.access.principals import Scope
from shared.web.errors import PROBLEM_TYPE

JSON = "application/json"
_PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")


class FieldFault(msgspec.Struct, frozen=True):
    """One field that cannot be used."""

    field: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457. ``code`` is stable and meant for programs, ``detail`` for people; ``errors`` names fields."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldFault] = []


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``kind`` is a type, None for no body, or ``str`` for ``media`` that are text; ``binary`` names media
    besides, of which nothing more is said."""

    about: str
    kind: Any = None
    media: tuple[str, ...] = (JSON,)
    example: Any = None
    binary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter or header. ``schema`` is JSON Schema."""

    name: str
    about: str
    schema: Mapping[str, Any]
    place: str = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One route as people read it. ``problems`` are statuses besides those that every route of its shape may give."""

    method: str
    path: str
    tag: str
    summary: str
    about: str
    answers: Mapping[int, Answer]
    body: Any = None
    body_optional: bool = False
    example: Any = None
    parameters: Sequence[Parameter] = ()
    problems: tuple[int, ...] = ()
    path_examples: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """``post_api_sessions_id_start``."""
        words = re.findall(r"\w+", self.path)
        return "_".join([self.method.lower(), *words])


_PROBLEMS = {
    400: "The request is not what HTTP or JSON allow.",
    401: "A key is needed.",
    403: "The key is not known, or lacks the scope.",
    404: "It does not exist, or belongs to another owner.",
    406: "None of the media types that are accepted is offered.",
    409: "The state of things does not allow it; the document says which state.",
    413: "The body is too large.",
    415: "The body is encoded: it is taken without `Content-Encoding` only.",
    422: "A field or parameter cannot be used; the document names it.",
    429: "Too much for now; ``Retry-After`` says when again.",
    502: "The engine refused.",
    504: "The engine did not answer in time.",
    507: "There is no room for the file.",
    503: "The store does not take writes just now, or the service stops.",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What is posted to webhooks: ``body`` is the type of it, ``names`` the types of events, each with what it tells."""

    about: str
    body: Any
    names: Mapping[str, str]
    headers: Mapping[str, str]
    example: Any


def document(
    operations: Sequence[tuple[Operation, Scope]], *, version: str, told: Told | None = None
) -> dict[str, Any]:
    """The whole description; every type of ``operations`` and of ``told`` becomes a component, once."""
    kinds: dict[Any, None] = {ProblemDocument: None}
    if told is not None:
        kinds[told.body] = None
    for operation, _ in operations:
        kinds |= dict.fromkeys(_kinds(operation))
    schemas, components = msgspec.json.schema_components(list(kinds), ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation, scope in operations:
        place = paths.setdefault(_PARAMETER.sub(r"{\1}", operation.path), {})
        place[operation.method.lower()] = _described(operation, scope, schema_of)
    return {
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
        "webhooks": {"event": {"post": _told(told, schema_of)}} if told is not None else {},
        "components": {
            "schemas": components,
            "responses": {str(status): _problem_answer(about) for status, about in _PROBLEMS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
                "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "The same key."},
            },
        },
    }


TAGS = {
    "Sessions": "WhatsApp accounts linked to this service: make, pair, start, stop, remove, and how they are.",
    "Messages": "Sending, and what became of what was sent.",
    "Events": "What happens, as a stream and as webhooks.",
    "Keys": "Who may call what.",
    "Watchdog": "What the watchdog and the bot service tell each other, and what the world may read of it.",
    "Service": "How this process is.",
}

_ABOUT = (
    "JSON in camelCase; times are ISO 8601 in UTC, durations are milliseconds unless the name says otherwise. "
    "Errors are problem documents (RFC 9457) with a stable `code`. Send a key as `Authorization: Bearer <key>`, "
    "and bodies without `Content-Encoding`."
)


def _told(told: Told, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    names = "\n".join(f"- `{name}`: {about}" for name, about in told.names.items())
    return {
        "operationId": "webhook_event",
        "tags": ["Events"],
        "summary": "What a webhook gets",
        "description": f"{told.about}\n\n{names}",
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}
            for name, about in told.headers.items()
        ],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": schema_of[told.body], "example": told.example}},
        },
        "responses": {"2XX": {"description": "Taken. Anything else, or no answer, and it comes again."}},
    }


def _kinds(operation: Operation) -> list[Any]:
    found = [answer.kind for answer in operation.answers.values() if _is_json_type(answer.kind)]
    return found + ([operation.body] if operation.body is not None else [])


def _is_json_type(kind: Any) -> bool:
    return kind is not None and kind not in (str, bytes)


def _described(operation: Operation, scope: Scope, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"{operation.about}\n\n{_SCOPES[scope]}",
        "responses": _answers(operation, scope, schema_of),
    }
    if scope is Scope.PUBLIC:
        made["security"] = []
    elif scope is Scope.STATS:
        made["security"] = [{}, {"bearer": []}]
    parameters = _parameters(operation)
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        content: dict[str, Any] = {"schema": schema_of[operation.body]}
        if operation.example is not None:
            content["example"] = operation.example
        made["requestBody"] = {"required": not operation.body_optional, "content": {JSON: content}}
    return made


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


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in _PARAMETER.findall(operation.path):
        parameter = {"name": name, "in": "path", "required": True, "description": _NAMES[name]}
        parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": 200}
        if name in operation.path_examples:
            parameter["example"] = operation.path_examples[name]
        found.append(parameter)
    return found + [
        {
            "name": each.name,
            "in": each.place,
            "required": each.required,
            "description": each.about,
            "schema": dict(each.schema),
        }
        for each in operation.parameters
    ]


_NAMES = {
    "id": "The session's id.",
    "messageId": "The message's id.",
    "webhookId": "The webhook's id.",
    "eventId": "The event's id.",
    "keyId": "The key's id.",
}


def _answers(operation: Operation, scope: Scope, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, answer in operation.answers.items():
        made: dict[str, Any] = {"description": answer.about}
        if answer.kind is not None or answer.binary:
            schema = schema_of[answer.kind] if _is_json_type(answer.kind) else {"type": "string"}
            content = {"schema": schema} | ({"example": answer.example} if answer.example is not None else {})
            media = answer.media if answer.kind is not None else ()
            made["content"] = dict.fromkeys(media, content) | {name: {} for name in answer.binary}
        found[str(status)] = made
    for status in sorted(_possible(operation, scope)):
        found.setdefault(str(status), {"$ref": f"#/components/responses/{status}"})
    return dict(sorted(found.items()))


def _possible(operation: Operation, scope: Scope) -> set[int]:
    """The problems that a route of this shape may answer with."""
    statuses = set(operation.problems)
    if scope is not Scope.PUBLIC:
        statuses |= {401, 403}
    if "{" in operation.path:
        statuses |= {404, 422}
    if operation.parameters:
        statuses |= {422}
    if operation.body is not None:
        statuses |= {400, 413, 415, 422}
    if operation.method != "GET":
        statuses |= {503}
    return statuses


def _problem_answer(about: str) -> dict[str, Any]:
    return {
        "description": about,
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }

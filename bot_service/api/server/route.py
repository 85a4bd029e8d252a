"""One row of the route table: mounted by the router, checked by the gate, described in OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot_service.access.principals import Scope
from shared.web.middleware import Handler

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Response:
    """``type`` is None for no body, ``str`` for text; ``binary`` names further media types."""

    description: str
    type: Any = None
    media: tuple[str, ...] = (JSON,)
    example: Any = None
    binary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or header. ``schema`` is JSON Schema."""

    name: str
    description: str
    schema: Mapping[str, Any]
    location: str = "query"


@dataclass(frozen=True, slots=True)
class Route:
    """``problems`` are statuses besides those that every route of its shape may answer with.

    ``stream`` marks answers without an end, which HEAD must not begin.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope
    tag: str
    summary: str
    description: str
    responses: Mapping[int, Response]
    body: Any = None
    body_optional: bool = False
    example: Any = None
    parameters: Sequence[Parameter] = ()
    problems: tuple[int, ...] = ()
    stream: bool = False

    @property
    def id(self) -> str:
        """``post_api_sessions_id_start``."""
        return "_".join([self.method.lower(), *re.findall(r"\w+", self.path)])


TEXT = {"type": "string"}
PAGE, LONGEST_PAGE = 50, 500
LIMIT = Parameter(
    "limit", "The largest number of rows.", {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": PAGE}
)

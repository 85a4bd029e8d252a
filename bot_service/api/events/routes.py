"""The route of the event stream, described."""

from __future__ import annotations

from bot_service.access.principals import Scope
from bot_service.api.events import handlers
from bot_service.api.server.route import TEXT, Parameter, Response, Route

ROUTES = [
    Route(
        "GET", "/api/events", handlers.stream, Scope.READ,
        "Events", "Follow events",
        "Server-sent events, in order; `Last-Event-ID` goes on from there, `0` begins with the oldest. An event `gap` says that older ones are gone.",
        {200: Response("The stream; it has no end.", str, media=("text/event-stream",))},
        parameters=(
            Parameter("session", "Only this session's.", TEXT),
            Parameter("Last-Event-ID", "The last event that was seen.", TEXT, location="header"),
            Parameter("types", "Names or patterns, separated by commas.", {**TEXT, "default": "*"}),
        ),
        problems=(503,),
        stream=True,
    ),
]  # fmt: skip

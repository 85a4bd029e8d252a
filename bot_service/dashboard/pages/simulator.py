"""The panel of a simulated session: what its phone, its contacts and the server do, by button."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.dashboard.guard import Form, back
from bot_service.dashboard.login import Login
from bot_service.domain.refused import invalid, not_found
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LINKED, LIVE
from shared.translation import N_
from shared.web.ui.words import Words

# By name of the action, with its arguments.
SCAN = {"scan": N_("Scan the QR code")}
LINK = {
    "drop": N_("Drop the connection"),
    "offline": N_("Offline for 20 s"),
    "silence": N_("Receive nothing"),
    "heal": N_("Heal everything"),
}
ACCOUNT = {
    "logout": N_("Unlink on the phone"),
    "replaced": N_("Log in elsewhere"),
    "tempBan": N_("Ban for a minute"),
    "ban": N_("Ban"),
}
_ARGUMENTS: dict[str, dict[str, Any]] = {"offline": {"seconds": 20}, "tempBan": {"seconds": 60}}
_ACTIONS = SCAN | LINK | ACCOUNT


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """``may_receive``: a simulated person can write to this session."""

    actions: list[Action]
    may_receive: bool


def is_used(request: web.Request) -> bool:
    return request.app[keys.SETTINGS].engine == "simulator"


def panel(record: SessionRecord, t: Words) -> Panel:
    """What can be simulated now; without buttons for a session that does not run."""
    linked = record.jid is not None
    offered = {} if record.state not in LIVE else (LINK | ACCOUNT) if linked else SCAN
    return Panel([Action(name, t(label)) for name, label in offered.items()], linked and record.state in LINKED)


async def run(request: web.Request, login: Login, form: Form) -> str:
    """Refused: ``not_found`` with another engine, ``invalid``."""
    if not is_used(request):
        raise not_found("this path with this engine")
    session = request.app[keys.SESSIONS].queries.find(login.principal, request.match_info["id"]).id
    name = str(form.get("action", ""))
    if name == "message":
        given = {key: str(form.get(f"simulated-{key}", "")).strip() for key in ("from", "group", "text", "type")}
        arguments: dict[str, Any] = {key: value for key, value in given.items() if value}
    elif name in _ACTIONS:
        arguments = _ARGUMENTS.get(name, {})
    else:
        raise invalid("action", f"must be one of {', '.join(['message', *_ACTIONS])}")
    await request.app[keys.SESSIONS].commands.simulate(session, name, dict(arguments))
    return back(request, form)

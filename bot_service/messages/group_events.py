"""The events of groups, as webhooks and the stream get them."""

from __future__ import annotations

from typing import Any

import msgspec

from bot_service.domain.directory import Group
from bot_service.domain.group_changes import GroupChange
from bot_service.events.publisher import Draft
from shared.clock import from_ms, iso

_SETTINGS = ("subject", "description", "announce", "locked")


def group_draft(change: GroupChange, owner: str | None) -> Draft:
    """``group.joined``, ``group.left``, ``group.members`` or ``group.updated``."""
    at = from_ms(change.at_ms)
    data: dict[str, Any] = {"session": change.session, "group": change.group, "by": change.by, "at": iso(at)}
    match change.kind:
        case "joined":
            data["info"] = _shown(change.info) if change.info is not None else None
        case "members":
            data |= {"action": change.action, "members": list(change.members)}
        case "updated":
            given = {name: getattr(change, name) for name in _SETTINGS}
            data |= {name: value for name, value in given.items() if value is not None}
    return Draft(f"group.{change.kind}", change.session, owner, at, data)


def _shown(group: Group) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(group)
    created = found.pop("createdMs")
    return {**found, "created": iso(from_ms(created)) if created else None}

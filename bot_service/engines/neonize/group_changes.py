"""Translates WhatsApp's notices about groups. Pure, except that `number_of` asks the library."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from bot_service.domain.directory import MemberAction
from bot_service.domain.group_changes import GroupChange
from bot_service.engines.neonize import jids
from bot_service.engines.neonize.directory import group_of

_ACTIONS: tuple[tuple[str, MemberAction], ...] = (
    ("Join", "add"), ("Leave", "remove"), ("Promote", "promote"), ("Demote", "demote"),
)  # fmt: skip
# The address with the number behind a hidden one, None while it is not known.
NumberOf = Callable[[Any], Any]


def joined(session: str, event: Any, now_ms: int) -> GroupChange:
    """The account was added to a group, joined it or made it."""
    group = group_of(event.GroupInfo)
    by = jids.known_by_number(event.Sender, event.SenderPN) if event.Sender.User else None
    return GroupChange(session, group.id, "joined", now_ms, by, info=group)


def changes(session: str, event: Any, own: Collection[str], number_of: NumberOf) -> Iterator[GroupChange]:
    """What happened; `own` are the addresses of the account. Nothing for what this service does not show."""
    group, at_ms = jids.to_text(event.JID), int(event.Timestamp) * 1000
    by = _address(event.Sender, number_of) if event.Sender.User else None
    for field, action in _ACTIONS:
        found = list(getattr(event, field))
        others = [_address(each, number_of) for each in found if jids.to_text(each) not in own]
        if len(others) < len(found) and action in ("add", "remove"):
            yield GroupChange(session, group, "joined" if action == "add" else "left", at_ms, by)
        elif len(others) < len(found):
            others += [_address(each, number_of) for each in found if jids.to_text(each) in own]
        if others:
            yield GroupChange(session, group, "members", at_ms, by, action=action, members=tuple(others))
    settings: dict[str, Any] = {
        "subject": event.Name.Name if event.HasField("Name") else None,
        "description": event.Topic.Topic if event.HasField("Topic") else None,
        "announce": event.Announce.IsAnnounce if event.HasField("Announce") else None,
        "locked": event.Locked.isLocked if event.HasField("Locked") else None,
    }
    if any(value is not None for value in settings.values()):
        yield GroupChange(session, group, "updated", at_ms, by, **settings)


def _address(jid: Any, number_of: NumberOf) -> str:
    other = number_of(jid) if jid.Server == jids.HIDDEN_SERVER else None
    return jids.known_by_number(jid, other) if other is not None else jids.to_text(jid)

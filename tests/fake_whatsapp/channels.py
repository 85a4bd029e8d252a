"""Channels: who owns them, who follows them, and the queries of devices about them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

# The library's numbers for its queries about one channel; whatever else it asks is told by what it gives.
FOLLOW, UNFOLLOW = ("9926858900719341", "8621797084555037"), ("6392786840836363", "8782612271820087")
MUTE, UNMUTE = ("6274038279359549", "5971669009605755"), ("6068417879924485", "6104029483058502")


@dataclass(slots=True)
class Channel:
    """``followers``: the numbers that follow it, and whether it is muted there."""

    id: str
    name: str
    owner: str
    description: str = ""
    followers: dict[str, bool] = field(default_factory=dict)

    @property
    def jid(self) -> str:
        return f"{self.id}@newsletter"

    @property
    def invite(self) -> str:
        return f"0029V{self.id}"


class Channels:
    """All channels of one server."""

    def __init__(self) -> None:
        self._by_id: dict[str, Channel] = {}

    def open(self, owner: str, name: str, description: str = "") -> Channel:
        channel = Channel(f"12036399{len(self._by_id):08}", name, owner, description)
        self._by_id[channel.id] = channel
        return channel

    def answer(self, number: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data of an answer to a query of an account; raises ``LookupError`` for an unknown channel."""
        if (new := variables.get("newsletter_input")) is not None:
            made = self.open(number, new["name"], new.get("description", ""))
            return {"xwa2_newsletter_create": _described(made, number)}
        if "input" in variables:
            found = self._find(variables["input"]["key"])
            return {"xwa2_newsletter": _described(found, number if variables["fetch_viewer_metadata"] else None)}
        if "newsletter_id" not in variables:
            own = [each for each in self._by_id.values() if number == each.owner or number in each.followers]
            return {"xwa2_newsletter_subscribed": [_described(each, number) for each in own]}
        channel = self._find(variables["newsletter_id"])
        if query in FOLLOW:
            channel.followers.setdefault(number, False)
        elif query in UNFOLLOW:
            channel.followers.pop(number, None)
        elif query in (*MUTE, *UNMUTE) and number in channel.followers:
            channel.followers[number] = query in MUTE
        else:
            raise LookupError(query)
        return {}

    def _find(self, key: str) -> Channel:
        for channel in self._by_id.values():
            if key in (channel.jid, channel.invite):
                return channel
        raise LookupError(key)


def _described(channel: Channel, viewer: str | None) -> dict[str, Any]:
    about = {
        "creation_time": "1800000000",
        "invite": channel.invite,
        "name": {"text": channel.name, "id": "1", "update_time": "1800000000000000"},
        "description": {"text": channel.description, "id": "2", "update_time": "1800000000000000"},
        "subscribers_count": str(len(channel.followers)),
        "verification": "UNVERIFIED",
        "picture": None,
        "preview": {"id": "3", "type": "PREVIEW", "direct_path": "/p"},
        "settings": {"reaction_codes": {"value": "ALL"}},
    }
    found: dict[str, Any] = {"id": channel.jid, "state": {"type": "ACTIVE"}, "thread_metadata": about}
    if viewer is not None:
        role = "SUBSCRIBER" if viewer in channel.followers else "GUEST"
        muted = "ON" if channel.followers.get(viewer) else "OFF"
        found["viewer_metadata"] = {"role": "OWNER" if viewer == channel.owner else role, "mute": muted}
    return found


def refusal() -> bytes:
    """The answer to a query about a channel that does not exist."""
    error = {"message": "not found", "extensions": {"error_code": 404, "is_retryable": False, "severity": "CRITICAL"}}
    return json.dumps({"data": None, "errors": [error]}).encode()

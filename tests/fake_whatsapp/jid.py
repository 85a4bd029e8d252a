"""WhatsApp addresses: `user:device@server`, with telephone numbers and hidden numbers (lid) as the two user servers."""

from __future__ import annotations

from dataclasses import dataclass

USER_SERVER = "s.whatsapp.net"
LID_SERVER = "lid"
GROUP_SERVER = "g.us"
BROADCAST_SERVER = "broadcast"


@dataclass(frozen=True, slots=True)
class JID:
    """One address; `device` 0 is the telephone itself, other numbers are its companions."""

    user: str
    server: str
    device: int = 0

    def __str__(self) -> str:
        device = f":{self.device}" if self.device else ""
        return f"{self.user}{device}@{self.server}" if self.user else self.server

    @property
    def number(self) -> str:
        """The telephone number behind the address (a lid is the number with a 9 before it)."""
        return self.user[1:] if self.server == LID_SERVER else self.user

    @property
    def is_group(self) -> bool:
        return self.server == GROUP_SERVER

    @property
    def has_authors(self) -> bool:
        """Whether its messages name who wrote them: a group, or the statuses of all."""
        return self.server in (GROUP_SERVER, BROADCAST_SERVER)


SERVER = JID("", USER_SERVER)


def phone_jid(number: str, device: int = 0) -> JID:
    """The address of a number's telephone or companion."""
    return JID(number, USER_SERVER, device)


def lid_jid(number: str, device: int = 0) -> JID:
    """The hidden address of the same device."""
    return JID("9" + number, LID_SERVER, device)


def group_jid(group_id: str) -> JID:
    """The address of a group."""
    return JID(group_id, GROUP_SERVER)

"""What happens to a group that the account belongs to; the same for every engine."""

from __future__ import annotations

from typing import Literal

import msgspec

from bot_service.domain.directory import Group, MemberAction


class GroupChange(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The account is in the group from now on or out of it, its members changed, or its settings.

    ``by`` did it, as far as WhatsApp says; ``at_ms`` since the epoch. ``info`` is the group that the
    account joined, ``action`` and ``members`` who is in it or an administrator now. Of settings only
    what changed is there.
    """

    session: str
    group: str
    kind: Literal["joined", "left", "members", "updated"]
    at_ms: int
    by: str | None = None
    info: Group | None = None
    action: MemberAction | None = None
    members: tuple[str, ...] = ()
    subject: str | None = None
    description: str | None = None
    announce: bool | None = None
    locked: bool | None = None

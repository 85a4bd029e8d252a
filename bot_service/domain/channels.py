"""Questions to WhatsApp about channels (newsletters), and their answers; the same for every engine."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bot_service.domain.directory import Question

ChannelRole = Literal["owner", "admin", "subscriber", "guest"]


class Channel(msgspec.Struct, frozen=True, rename="camel"):
    """``invite`` is the code at the end of its link. A ``guest`` does not follow it."""

    id: str
    name: str
    description: str
    invite: str
    role: ChannelRole
    subscribers: int
    verified: bool
    muted: bool


class ListChannels(Question, frozen=True, tag="channels"):
    """Answered by the list of :class:`Channel` that the account owns or follows."""


class GetChannel(Question, frozen=True, tag="channel"):
    """By its JID or by the code of its link. Answered by the :class:`Channel`."""

    channel: str | None = None
    invite: str | None = None


class CreateChannel(Question, frozen=True, tag="create_channel"):
    """Answered by the new :class:`Channel`."""

    name: str
    description: str


class FollowChannel(Question, frozen=True, tag="follow_channel"):
    channel: str
    follow: bool


class MuteChannel(Question, frozen=True, tag="mute_channel"):
    channel: str
    mute: bool


QUESTIONS = ListChannels | GetChannel | CreateChannel | FollowChannel | MuteChannel
ANSWERS: dict[type, Any] = {ListChannels: list[Channel], GetChannel: Channel, CreateChannel: Channel}

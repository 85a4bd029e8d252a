"""Questions to WhatsApp about numbers and groups, and their answers; the same for every engine."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

MemberAction = Literal["add", "remove", "promote", "demote"]


class NumberCheck(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Whether ``number`` (digits) has an account; ``jid`` and ``lid`` are its addresses."""

    number: str
    exists: bool
    jid: str | None = None
    lid: str | None = None


class GroupMember(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """``error`` is the server's code for a change of this member that it refused."""

    jid: str
    admin: bool = False
    error: int = 0


class Group(msgspec.Struct, frozen=True, rename="camel"):
    """``announce``: only administrators write. ``locked``: only they change the group."""

    id: str
    subject: str
    description: str
    owner: str | None
    created_ms: int
    announce: bool
    locked: bool
    members: tuple[GroupMember, ...]


class JoinRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A person asks to be let into a group; ``at_ms`` since the epoch."""

    jid: str
    at_ms: int


class Picture(msgspec.Struct, frozen=True, rename="camel"):
    """``url`` is valid for some days."""

    url: str
    id: str


class Question(msgspec.Struct, frozen=True, tag_field="ask", rename="camel"):
    """Base of all questions."""


class CheckNumbers(Question, frozen=True, tag="numbers"):
    """Answered by a list of :class:`NumberCheck`, in the order of ``numbers``."""

    numbers: list[str]


class GetPicture(Question, frozen=True, tag="picture"):
    """Answered by a :class:`Picture`, None without one or without the right to see it."""

    chat: str
    preview: bool = False


class ListGroups(Question, frozen=True, tag="groups"):
    """Answered by the list of :class:`Group` that the account belongs to."""


class GetGroup(Question, frozen=True, tag="group"):
    """Answered by a :class:`Group`."""

    group: str


class CreateGroup(Question, frozen=True, tag="create_group"):
    """Answered by the new :class:`Group`."""

    subject: str
    members: list[str]


class ChangeMembers(Question, frozen=True, tag="members"):
    """Answered by a list of :class:`GroupMember`: those that were asked for."""

    group: str
    action: MemberAction
    members: list[str]


class ChangeGroup(Question, frozen=True, tag="change_group"):
    """Changes what is not None. Answered by the :class:`Group`."""

    group: str
    subject: str | None = None
    description: str | None = None
    announce: bool | None = None
    locked: bool | None = None


class InviteLink(Question, frozen=True, tag="invite"):
    """Answered by the link. ``reset`` makes a new one and the old one invalid."""

    group: str
    reset: bool = False


class SetGroupPicture(Question, frozen=True, tag="group_picture"):
    """``picture`` is a JPEG. Answered by the new picture's id."""

    group: str
    picture: bytes


class GetInvitedGroup(Question, frozen=True, tag="invited_group"):
    """Answered by the :class:`Group` that the invitation with this code is for; the account need not belong to it."""

    code: str


class JoinGroup(Question, frozen=True, tag="join"):
    """Answered by the JID of the group."""

    code: str


class LeaveGroup(Question, frozen=True, tag="leave"):
    group: str


class ListJoinRequests(Question, frozen=True, tag="join_requests"):
    """Answered by a list of :class:`JoinRequest`."""

    group: str


class AnswerJoinRequests(Question, frozen=True, tag="answer_join_requests"):
    """Lets ``members`` in, or not. Answered by a list of :class:`GroupMember`."""

    group: str
    approve: bool
    members: list[str]


QUESTIONS = (
    CheckNumbers
    | GetPicture
    | ListGroups
    | GetGroup
    | CreateGroup
    | ChangeMembers
    | ChangeGroup
    | InviteLink
    | SetGroupPicture
    | GetInvitedGroup
    | JoinGroup
    | LeaveGroup
    | ListJoinRequests
    | AnswerJoinRequests
)
ANSWERS: dict[type, Any] = {
    CheckNumbers: list[NumberCheck],
    GetPicture: Picture | None,
    ListGroups: list[Group],
    GetGroup: Group,
    CreateGroup: Group,
    ChangeMembers: list[GroupMember],
    ChangeGroup: Group,
    InviteLink: str,
    SetGroupPicture: str,
    GetInvitedGroup: Group,
    JoinGroup: str,
    ListJoinRequests: list[JoinRequest],
    AnswerJoinRequests: list[GroupMember],
}

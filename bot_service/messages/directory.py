"""The use cases that ask WhatsApp: whether numbers exist, pictures, groups."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bot_service.domain import directory as ask
from bot_service.domain.addresses import address, telephone_number
from bot_service.domain.directory import Group, GroupMember, JoinRequest, MemberAction, NumberCheck, Picture
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.messages.asking import Asking
from bot_service.messages.people import NewPicture, jpeg
from bot_service.messages.requests import Chat

Subject = Annotated[str, Meta(min_length=1, max_length=100)]
Members = Annotated[list[Chat], Meta(min_length=1, max_length=256)]


class CheckNumbers(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Numbers with country code."""

    numbers: Annotated[list[Annotated[str, Meta(min_length=1, max_length=40)]], Meta(min_length=1, max_length=50)]


class NewGroup(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``members``: numbers or JIDs, without the session's own account."""

    subject: Subject
    members: Members


class ChangeGroup(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is left out stays. ``announce``: only administrators write. ``locked``: only they change
    the group."""

    subject: Subject | None = None
    description: Annotated[str, Meta(max_length=2048)] | None = None
    announce: bool | None = None
    locked: bool | None = None


class ChangeMembers(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    action: MemberAction
    members: Members


class JoinGroup(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``code``: an invitation link or the code at its end."""

    code: Annotated[
        str,
        Meta(
            pattern=r"^(?:https://chat\.whatsapp\.com/)?[A-Za-z0-9_-]{1,64}(?!\n)$",
            description="an invitation link or its code",
        ),
    ]


class AnswerJoinRequests(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``members``: those who asked to be let in."""

    action: Literal["approve", "reject"]
    members: Members


class ChatDirectory:
    """Every method raises as :class:`Asking` does, and :class:`Refused` ``invalid``."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    async def check_numbers(self, record: SessionRecord, wanted: CheckNumbers) -> list[NumberCheck]:
        """In the order asked for."""
        numbers = [telephone_number(number, "numbers") for number in wanted.numbers]
        found: list[NumberCheck] = await self._ask(record, ask.CheckNumbers(numbers))
        return found

    async def picture(self, record: SessionRecord, chat: str, *, preview: bool) -> Picture | None:
        """None without one or without the right to see it."""
        found: Picture | None = await self._ask(record, ask.GetPicture(address(chat, "chat"), preview))
        return found

    async def groups(self, record: SessionRecord) -> list[Group]:
        """The groups that the account belongs to."""
        found: list[Group] = await self._ask(record, ask.ListGroups())
        return found

    async def group(self, record: SessionRecord, group: str) -> Group:
        found: Group = await self._ask(record, ask.GetGroup(_group(group)))
        return found

    async def create_group(self, record: SessionRecord, wanted: NewGroup) -> Group:
        members = [address(member, "members") for member in wanted.members]
        made: Group = await self._ask(record, ask.CreateGroup(wanted.subject, members))
        return made

    async def change_group(self, record: SessionRecord, group: str, wanted: ChangeGroup) -> Group:
        changes = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
        if not changes:
            raise invalid("subject", "or description, announce or locked is needed")
        changed: Group = await self._ask(record, ask.ChangeGroup(_group(group), **changes))
        return changed

    async def change_members(self, record: SessionRecord, group: str, wanted: ChangeMembers) -> list[GroupMember]:
        """Those that were asked for; ``error`` says what the server refused."""
        members = [address(member, "members") for member in wanted.members]
        changed: list[GroupMember] = await self._ask(record, ask.ChangeMembers(_group(group), wanted.action, members))
        return changed

    async def invite_link(self, record: SessionRecord, group: str, *, reset: bool = False) -> str:
        """``reset`` makes a new one and the old one invalid."""
        link: str = await self._ask(record, ask.InviteLink(_group(group), reset))
        return link

    async def set_picture(self, record: SessionRecord, group: str, wanted: NewPicture) -> str:
        """An administrator's right. The new picture's id."""
        picture_id: str = await self._ask(record, ask.SetGroupPicture(_group(group), jpeg(wanted)))
        return picture_id

    async def invited_group(self, record: SessionRecord, wanted: JoinGroup) -> Group:
        """The group of an invitation, before it is joined."""
        found: Group = await self._ask(record, ask.GetInvitedGroup(wanted.code.rpartition("/")[2]))
        return found

    async def join_group(self, record: SessionRecord, wanted: JoinGroup) -> str:
        """The JID of the group."""
        group: str = await self._ask(record, ask.JoinGroup(wanted.code.rpartition("/")[2]))
        return group

    async def leave_group(self, record: SessionRecord, group: str) -> None:
        await self._ask(record, ask.LeaveGroup(_group(group)))

    async def join_requests(self, record: SessionRecord, group: str) -> list[JoinRequest]:
        """Who asks to be let in."""
        found: list[JoinRequest] = await self._ask(record, ask.ListJoinRequests(_group(group)))
        return found

    async def answer_join_requests(
        self, record: SessionRecord, group: str, wanted: AnswerJoinRequests
    ) -> list[GroupMember]:
        members = [address(member, "members") for member in wanted.members]
        question = ask.AnswerJoinRequests(_group(group), wanted.action == "approve", members)
        answered: list[GroupMember] = await self._ask(record, question)
        return answered


def _group(text: str) -> str:
    jid = address(text if "@" in text else f"{text}@g.us", "group")
    if not jid.endswith("@g.us"):
        raise invalid("group", "must be a group, for example 120363041234567890@g.us")
    return jid

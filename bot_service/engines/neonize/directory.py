"""Asks the library about numbers and groups, and translates its answers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from bot_service.domain import directory as ask
from bot_service.engines.neonize import channels, jids, people
from bot_service.engines.neonize.library import LibraryError, raise_error, read_answer
from bot_service.engines.neonize.native import binder, pb
from bot_service.engines.port import EngineError

INVITE = "https://chat.whatsapp.com/"
_NO_PICTURE = ("not-authorized", "item-not-found", "404", "401", "hidden", "does not have")


def answer(client: bytes, question: ask.Question) -> Any:
    """The answer as :mod:`bot_service.domain.questions` says. Blocks; raises ``LibraryError``."""
    return _ANSWERS[type(question)](client, question)


def _numbers(client: bytes, question: ask.CheckNumbers) -> list[ask.NumberCheck]:
    names = " ".join(f"+{number}" for number in question.numbers).encode()
    found = read_answer(pb.IsOnWhatsAppReturnFunction, binder.gocode.IsOnWhatsApp(client, names, len(names)))
    by_number = {"".join(filter(str.isdigit, entry.Query)): entry for entry in found.IsOnWhatsAppResponse}
    return [_number(client, number, by_number.get(number)) for number in question.numbers]


def _number(client: bytes, number: str, entry: Any) -> ask.NumberCheck:
    if entry is None or not entry.IsIn:
        return ask.NumberCheck(number, exists=False)
    jid = f"{number}@{jids.USER_SERVER}"
    if entry.JID.Server == jids.HIDDEN_SERVER:
        return ask.NumberCheck(number, True, jid, jids.to_text(entry.JID))
    return ask.NumberCheck(number, True, *people.both_addresses(client, entry.JID))


def _picture(client: bytes, question: ask.GetPicture) -> ask.Picture | None:
    chat = jids.to_library(question.chat).SerializeToString()
    wanted = pb.GetProfilePictureParams(Preview=question.preview).SerializeToString()
    try:
        raw = binder.gocode.GetProfilePicture(client, chat, len(chat), wanted, len(wanted))
        found = read_answer(pb.GetProfilePictureReturnFunction, raw).Picture
    except LibraryError as error:
        if any(word in str(error) for word in _NO_PICTURE):
            return None
        raise
    return ask.Picture(found.URL, found.ID) if found.URL else None


def _list(client: bytes, _: ask.ListGroups) -> list[ask.Group]:
    found = read_answer(pb.GetJoinedGroupsReturnFunction, binder.gocode.GetJoinedGroups(client))
    return [group_of(group) for group in found.Group]


def _get(client: bytes, question: ask.GetGroup) -> ask.Group:
    return _info(client, jids.to_library(question.group).SerializeToString())


def _info(client: bytes, group: bytes) -> ask.Group:
    raw = binder.gocode.GetGroupInfo(client, group, len(group))
    return group_of(read_answer(pb.GetGroupInfoReturnFunction, raw).GroupInfo)


def _create(client: bytes, question: ask.CreateGroup) -> ask.Group:
    members = [jids.to_library(member) for member in question.members]
    body = pb.ReqCreateGroup(name=question.subject, Participants=members, CreateKey="").SerializeToString()
    raw = binder.gocode.CreateGroup(client, body, len(body))
    return group_of(read_answer(pb.GetGroupInfoReturnFunction, raw).GroupInfo)


def _members(client: bytes, question: ask.ChangeMembers) -> list[ask.GroupMember]:
    group = jids.to_library(question.group).SerializeToString()
    members = pb.JIDArray(JIDS=[jids.to_library(member) for member in question.members]).SerializeToString()
    raw = binder.gocode.UpdateGroupParticipants(
        client, group, len(group), members, len(members), question.action.encode()
    )
    return [_member_of(member) for member in read_answer(pb.UpdateGroupParticipantsReturnFunction, raw).participants]


def _change(client: bytes, question: ask.ChangeGroup) -> ask.Group:
    group, go = jids.to_library(question.group).SerializeToString(), binder.gocode
    if question.subject is not None:
        raise_error(go.SetGroupName(client, group, len(group), ctypes.create_string_buffer(question.subject.encode())))
    if question.description is not None:
        raise_error(go.SetGroupTopic(client, group, len(group), b"", b"", question.description.encode()))
    if question.announce is not None:
        raise_error(go.SetGroupAnnounce(client, group, len(group), question.announce))
    if question.locked is not None:
        raise_error(go.SetGroupLocked(client, group, len(group), question.locked))
    return _info(client, group)


def _invite(client: bytes, question: ask.InviteLink) -> str:
    group = jids.to_library(question.group).SerializeToString()
    raw = binder.gocode.GetGroupInviteLink(client, group, len(group), question.reset)
    link = str(read_answer(pb.GetGroupInviteLinkReturnFunction, raw).InviteLink)
    return link if link.startswith(INVITE) else INVITE + link


def _set_picture(client: bytes, question: ask.SetGroupPicture) -> str:
    group = jids.to_library(question.group).SerializeToString()
    raw = binder.gocode.SetGroupPhoto(client, group, len(group), question.picture, len(question.picture))
    return str(read_answer(pb.SetGroupPhotoReturnFunction, raw).PictureID)


def _invited(client: bytes, question: ask.GetInvitedGroup) -> ask.Group:
    raw = binder.gocode.GetGroupInfoFromLink(client, question.code.removeprefix(INVITE).encode())
    return group_of(read_answer(pb.GetGroupInfoReturnFunction, raw).GroupInfo)


def _join(client: bytes, question: ask.JoinGroup) -> str:
    code = question.code.removeprefix(INVITE)
    found = read_answer(pb.JoinGroupWithLinkReturnFunction, binder.gocode.JoinGroupWithLink(client, code.encode()))
    return jids.to_text(found.Jid)


def _leave(client: bytes, question: ask.LeaveGroup) -> None:
    group = jids.to_library(question.group).SerializeToString()
    raise_error(binder.gocode.LeaveGroup(client, group, len(group)))


def _join_requests(client: bytes, question: ask.ListJoinRequests) -> list[ask.JoinRequest]:
    group = jids.to_library(question.group).SerializeToString()
    raw = binder.gocode.GetGroupRequestParticipants(client, group, len(group))
    found = read_answer(pb.GetGroupRequestParticipantsReturnFunction, raw).Participants
    return [
        ask.JoinRequest(
            people.both_addresses(client, each.Participant)[0] or jids.to_text(each.Participant),
            int(each.TimeAt) * 1000,
        )
        for each in found
    ]


def _answer_join_requests(_client: bytes, _question: ask.AnswerJoinRequests) -> Any:
    raise EngineError("not_supported", "the WhatsApp library has no call that answers a request to join a group")


def group_of(found: Any) -> ask.Group:
    """A group as this service shows it."""
    owner = jids.known_by_number(found.OwnerJID, found.OwnerPN)
    created = int(found.GroupCreated)
    return ask.Group(
        id=jids.to_text(found.JID),
        subject=found.GroupName.Name,
        description=found.GroupTopic.Topic,
        owner=owner or None,
        created_ms=created if created > 100_000_000_000 else created * 1000,
        announce=found.GroupAnnounce.IsAnnounce,
        locked=found.GroupLocked.isLocked,
        members=tuple(_member_of(member) for member in found.Participants),
    )


def _member_of(member: Any) -> ask.GroupMember:
    jid = jids.known_by_number(member.JID, member.PhoneNumber)
    return ask.GroupMember(jid, member.IsAdmin or member.IsSuperAdmin, int(member.Error))


_ANSWERS: dict[type[ask.Question], Callable[[bytes, Any], Any]] = {
    ask.CheckNumbers: _numbers,
    ask.GetPicture: _picture,
    ask.ListGroups: _list,
    ask.GetGroup: _get,
    ask.CreateGroup: _create,
    ask.ChangeMembers: _members,
    ask.ChangeGroup: _change,
    ask.InviteLink: _invite,
    ask.SetGroupPicture: _set_picture,
    ask.GetInvitedGroup: _invited,
    ask.JoinGroup: _join,
    ask.LeaveGroup: _leave,
    ask.ListJoinRequests: _join_requests,
    ask.AnswerJoinRequests: _answer_join_requests,
    **people.ANSWERS,
    **channels.ANSWERS,
}

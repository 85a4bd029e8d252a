"""The handlers of numbers, pictures and groups."""

from __future__ import annotations

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.api.server.request import iso_time, session_of
from bot_service.domain.directory import Group, GroupMember, NumberCheck, Picture
from bot_service.domain.refused import not_found
from bot_service.messages.directory import (
    AnswerJoinRequests,
    ChangeGroup,
    ChangeMembers,
    ChatDirectory,
    CheckNumbers,
    JoinGroup,
    NewGroup,
)
from bot_service.messages.people import NewPicture
from shared.web import body
from shared.web.body import json_response


class NumbersView(msgspec.Struct, frozen=True):
    numbers: list[NumberCheck]


class GroupView(msgspec.Struct, frozen=True, rename="camel"):
    """``announce``: only administrators write. ``locked``: only they change the group."""

    id: str
    subject: str
    description: str
    owner: str | None
    created: str | None
    announce: bool
    locked: bool
    members: tuple[GroupMember, ...]


class GroupsView(msgspec.Struct, frozen=True):
    groups: list[GroupView]


class MembersView(msgspec.Struct, frozen=True):
    members: list[GroupMember]


class JoinRequestView(msgspec.Struct, frozen=True):
    jid: str
    at: str | None


class JoinRequestsView(msgspec.Struct, frozen=True):
    requests: list[JoinRequestView]


class InviteView(msgspec.Struct, frozen=True):
    link: str


class GroupPictureView(msgspec.Struct, frozen=True):
    id: str


class JoinedView(msgspec.Struct, frozen=True):
    group: str


def _view(group: Group) -> GroupView:
    fields = {name: getattr(group, name) for name in GroupView.__struct_fields__ if name != "created"}
    return GroupView(created=iso_time(group.created_ms or None), **fields)


def _directory(request: web.Request) -> ChatDirectory:
    return request.app[keys.MESSAGES].directory


async def check_numbers(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, CheckNumbers)
    return json_response(NumbersView(await _directory(request).check_numbers(record, wanted)))


async def picture(request: web.Request) -> web.Response:
    record, preview = session_of(request), request.query.get("preview", "") == "true"
    found: Picture | None = await _directory(request).picture(record, request.query.get("chat", ""), preview=preview)
    if found is None:
        raise not_found("a picture of this chat")
    return json_response(found)


async def groups(request: web.Request) -> web.Response:
    return json_response(GroupsView([_view(group) for group in await _directory(request).groups(session_of(request))]))


async def create_group(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, NewGroup)
    return json_response(_view(await _directory(request).create_group(record, wanted)), status=201)


async def group(request: web.Request) -> web.Response:
    return json_response(_view(await _directory(request).group(session_of(request), request.match_info["groupId"])))


async def change_group(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, ChangeGroup)
    return json_response(_view(await _directory(request).change_group(record, request.match_info["groupId"], wanted)))


async def leave_group(request: web.Request) -> web.Response:
    await _directory(request).leave_group(session_of(request), request.match_info["groupId"])
    return web.Response(status=204)


async def change_members(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, ChangeMembers)
    changed = await _directory(request).change_members(record, request.match_info["groupId"], wanted)
    return json_response(MembersView(changed))


async def invite_link(request: web.Request) -> web.Response:
    group_id = request.match_info["groupId"]
    return json_response(InviteView(await _directory(request).invite_link(session_of(request), group_id)))


async def reset_invite_link(request: web.Request) -> web.Response:
    group_id = request.match_info["groupId"]
    return json_response(InviteView(await _directory(request).invite_link(session_of(request), group_id, reset=True)))


async def set_group_picture(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, NewPicture, limit=request.client_max_size)
    return json_response(
        GroupPictureView(await _directory(request).set_picture(record, request.match_info["groupId"], wanted))
    )


async def invited_group(request: web.Request) -> web.Response:
    wanted = body.convert({"code": request.match_info["code"]}, JoinGroup)
    return json_response(_view(await _directory(request).invited_group(session_of(request), wanted)))


async def join_group(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, JoinGroup)
    return json_response(JoinedView(await _directory(request).join_group(record, wanted)))


async def join_requests(request: web.Request) -> web.Response:
    found = await _directory(request).join_requests(session_of(request), request.match_info["groupId"])
    return json_response(JoinRequestsView([JoinRequestView(each.jid, iso_time(each.at_ms)) for each in found]))


async def answer_join_requests(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, AnswerJoinRequests)
    answered = await _directory(request).answer_join_requests(record, request.match_info["groupId"], wanted)
    return json_response(MembersView(answered))

"""WAHA's operations on groups and pictures, over the directory of this service."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.dialects import sending
from bot_service.dialects.waha import names
from bot_service.dialects.waha.requests import Picture, new_picture
from bot_service.dialects.waha.sessions import find, named
from bot_service.domain.directory import Group, GroupMember, MemberAction
from bot_service.domain.session_record import SessionRecord
from bot_service.messages.directory import ChangeGroup, ChangeMembers, ChatDirectory, JoinGroup, NewGroup
from shared.web import body
from shared.web.body import json_response

DONE = {"success": True}


class Participant(msgspec.Struct):
    id: str


class Participants(msgspec.Struct):
    participants: list[Participant]


class Create(Participants):
    name: str


class Join(msgspec.Struct):
    code: str


class Subject(msgspec.Struct):
    subject: str


class Description(msgspec.Struct):
    description: str


class AdminsOnly(msgspec.Struct):
    adminsOnly: bool


def _directory(request: web.Request) -> ChatDirectory:
    return request.app[keys.MESSAGES].directory


async def _group(request: web.Request) -> Group:
    return await _directory(request).group(named(request), request.match_info["id"])


async def index(request: web.Request) -> web.Response:
    """Groups by id."""
    found = await _directory(request).groups(named(request))
    return json_response({group.id: _shown(group) for group in found})


async def count(request: web.Request) -> web.Response:
    return json_response({"count": len(await _directory(request).groups(named(request)))})


async def create(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, Create)
    new = body.convert({"subject": wanted.name, "members": [each.id for each in wanted.participants]}, NewGroup)
    return json_response(_shown(await _directory(request).create_group(record, new)), status=201)


async def refresh(request: web.Request) -> web.Response:
    """Groups are asked for each time: there is nothing to refresh."""
    named(request)
    return json_response(DONE)


async def read(request: web.Request) -> web.Response:
    return json_response(_shown(await _group(request)))


async def join(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, Join)
    group = await _directory(request).join_group(record, body.convert({"code": wanted.code}, JoinGroup))
    return json_response({"id": group})


async def join_info(request: web.Request) -> web.Response:
    """``code``: of an invitation, or its link."""
    record, wanted = named(request), body.convert({"code": request.query.get("code", "")}, JoinGroup)
    return json_response(_shown(await _directory(request).invited_group(record, wanted)))


async def set_picture(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, Picture, limit=sending.file_body_limit(request))
    await _directory(request).set_picture(record, request.match_info["id"], new_picture(wanted))
    return json_response(DONE)


async def leave(request: web.Request) -> web.Response:
    await _directory(request).leave_group(named(request), request.match_info["id"])
    return json_response(DONE)


async def set_subject(request: web.Request) -> web.Response:
    return await _change(request, Subject, "subject", "subject")


async def set_description(request: web.Request) -> web.Response:
    return await _change(request, Description, "description", "description")


async def set_info_admin_only(request: web.Request) -> web.Response:
    return await _change(request, AdminsOnly, "adminsOnly", "locked")


async def set_messages_admin_only(request: web.Request) -> web.Response:
    return await _change(request, AdminsOnly, "adminsOnly", "announce")


async def _change(request: web.Request, kind: type[msgspec.Struct], theirs: str, ours: str) -> web.Response:
    record, given = named(request), await body.read(request, kind)
    wanted = body.convert({ours: getattr(given, theirs)}, ChangeGroup)
    await _directory(request).change_group(record, request.match_info["id"], wanted)
    return json_response(DONE)


async def info_admin_only(request: web.Request) -> web.Response:
    return json_response({"adminsOnly": (await _group(request)).locked})


async def messages_admin_only(request: web.Request) -> web.Response:
    return json_response({"adminsOnly": (await _group(request)).announce})


async def invite_code(request: web.Request) -> web.Response:
    return await _invite(request, reset=False)


async def revoke_invite_code(request: web.Request) -> web.Response:
    return await _invite(request, reset=True)


async def _invite(request: web.Request, *, reset: bool) -> web.Response:
    link = await _directory(request).invite_link(named(request), request.match_info["id"], reset=reset)
    return json_response(link.rpartition("/")[2])


async def participants(request: web.Request) -> web.Response:
    group = await _group(request)
    return json_response([_member(group, each) for each in group.members])


async def participants_v2(request: web.Request) -> web.Response:
    group = await _group(request)
    return json_response([{"id": names.chat_out(each.jid), "role": _role(group, each)} for each in group.members])


async def add(request: web.Request) -> web.Response:
    return await _members(request, "add")


async def remove(request: web.Request) -> web.Response:
    return await _members(request, "remove")


async def promote(request: web.Request) -> web.Response:
    return await _members(request, "promote")


async def demote(request: web.Request) -> web.Response:
    return await _members(request, "demote")


async def _members(request: web.Request, action: MemberAction) -> web.Response:
    record, wanted = named(request), await body.read(request, Participants)
    change = body.convert({"action": action, "members": [each.id for each in wanted.participants]}, ChangeMembers)
    changed = await _directory(request).change_members(record, request.match_info["id"], change)
    return json_response(
        [{"id": names.chat_out(each.jid), "status": str(each.error or 200)} for each in changed],
    )


async def group_picture(request: web.Request) -> web.Response:
    return await _picture(request, named(request), request.match_info["id"], "url")


async def chat_picture(request: web.Request) -> web.Response:
    return await _picture(request, named(request), request.match_info["chatId"], "url")


async def contact_picture(request: web.Request) -> web.Response:
    record = find(request, request.query.get("session", "default"))
    return await _picture(request, record, request.query.get("contactId", ""), "profilePictureURL")


async def _picture(request: web.Request, record: SessionRecord, chat: str, name: str) -> web.Response:
    """An empty address without a picture, or without the right to see it."""
    found = await _directory(request).picture(record, chat, preview=False)
    return json_response({name: found.url if found is not None else ""})


def _shown(group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "subject": group.subject,
        "desc": group.description,
        "owner": names.chat_out(group.owner) if group.owner else None,
        "creation": group.created_ms // 1000,
        "announce": group.announce,
        "restrict": group.locked,
        "size": len(group.members),
        "participants": [_member(group, each) for each in group.members],
    }


def _member(group: Group, member: GroupMember) -> dict[str, Any]:
    role = _role(group, member)
    return {"id": names.chat_out(member.jid), "admin": None if role == "participant" else role}


def _role(group: Group, member: GroupMember) -> str:
    return ("superadmin" if member.jid == group.owner else "admin") if member.admin else "participant"

"""Evolution's operations on groups. The group is ``?groupJid=``."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.dialects import sending
from bot_service.dialects.evolution import requests, views
from bot_service.dialects.evolution.context import find
from bot_service.dialects.evolution.messages import SENT_WITHIN_S
from bot_service.domain.refused import invalid
from bot_service.messages.directory import ChangeGroup, ChangeMembers, ChatDirectory, JoinGroup, NewGroup
from bot_service.messages.people import NewPicture
from shared.web import body
from shared.web.body import json_response

_SETTINGS: dict[str, dict[str, bool]] = {
    "announcement": {"announce": True},
    "not_announcement": {"announce": False},
    "locked": {"locked": True},
    "unlocked": {"locked": False},
}


def _directory(request: web.Request) -> ChatDirectory:
    return request.app[keys.MESSAGES].directory


def _query(request: web.Request, name: str) -> str:
    """Raises :class:`Refused` ``invalid``."""
    if not (given := request.query.get(name)):
        raise invalid(name, "is needed in the query")
    return given


async def create(request: web.Request) -> web.Response:
    record, wanted = find(request), await body.read(request, requests.NewGroup)
    new = body.convert({"subject": wanted.subject, "members": wanted.participants}, NewGroup)
    described = body.convert({"description": wanted.description}, ChangeGroup) if wanted.description else None
    made = await _directory(request).create_group(record, new)
    if described is not None:
        made = await _directory(request).change_group(record, made.id, described)
    return json_response(views.group(made, members=True), status=201)


async def index(request: web.Request) -> web.Response:
    members = _query(request, "getParticipants") == "true"
    found = await _directory(request).groups(find(request))
    return json_response([views.group(group, members=members) for group in found])


async def read(request: web.Request) -> web.Response:
    record = find(request)
    return json_response(
        views.group(await _directory(request).group(record, _query(request, "groupJid")), members=True)
    )


async def participants(request: web.Request) -> web.Response:
    record = find(request)
    found = await _directory(request).group(record, _query(request, "groupJid"))
    return json_response({"participants": [views.participant(member, found.owner) for member in found.members]})


async def invite_code(request: web.Request) -> web.Response:
    return json_response(await _invite(request, _query(request, "groupJid")))


async def revoke_invite_code(request: web.Request) -> web.Response:
    return json_response(await _invite(request, _query(request, "groupJid"), reset=True), status=201)


async def _invite(request: web.Request, group: str, *, reset: bool = False) -> dict[str, Any]:
    url = await _directory(request).invite_link(find(request), group, reset=reset)
    return {"inviteUrl": url, "inviteCode": url.rpartition("/")[2]}


async def accept_invite(request: web.Request) -> web.Response:
    record, code = find(request), body.convert({"code": _query(request, "inviteCode")}, JoinGroup)
    return json_response({"accepted": True, "groupJid": await _directory(request).join_group(record, code)})


async def send_invite(request: web.Request) -> web.Response:
    """A text with the link to each number, once per number and ``Idempotency-Key``."""
    record, wanted = find(request), await body.read(request, requests.GroupInvite)
    link = (await _invite(request, wanted.groupJid))["inviteUrl"]
    text = f"{wanted.description}\n\n{link}".strip()
    for number, to in enumerate(wanted.numbers):
        parts = {"type": "text", "to": str(to), "text": text}
        await sending.send(request, record, parts, SENT_WITHIN_S if number == 0 else 0, number=number)
    return json_response({"send": True, "inviteUrl": link})


async def set_subject(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.GroupSubject)
    return await _change(request, {"subject": wanted.subject}, "updateSubject")


async def set_description(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.GroupDescription)
    return await _change(request, {"description": wanted.description}, "updateDescription")


async def set_setting(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.GroupSetting)
    return await _change(request, _SETTINGS[wanted.action], "updateSetting")


async def _change(request: web.Request, changes: dict[str, Any], name: str) -> web.Response:
    record, group = find(request), _query(request, "groupJid")
    await _directory(request).change_group(record, group, body.convert(changes, ChangeGroup))
    return json_response({name: "success"}, status=201)


async def update_participants(request: web.Request) -> web.Response:
    """What WhatsApp refused for one of them is in its ``error``."""
    record, wanted = find(request), await body.read(request, requests.GroupMembers)
    changes = body.convert({"action": wanted.action, "members": wanted.participants}, ChangeMembers)
    changed = await _directory(request).change_members(record, _query(request, "groupJid"), changes)
    return json_response({"updateParticipants": [views.participant(member) for member in changed]}, status=201)


async def invited(request: web.Request) -> web.Response:
    record, code = find(request), body.convert({"code": _query(request, "inviteCode")}, JoinGroup)
    return json_response(views.group(await _directory(request).invited_group(record, code), members=True))


async def set_picture(request: web.Request) -> web.Response:
    """A JPEG in base64."""
    record = find(request)
    wanted = await body.read(request, requests.GroupPicture, limit=sending.file_body_limit(request))
    if wanted.image.startswith(("http://", "https://")):
        raise invalid("image", "must be a JPEG in base64, not the address of one")
    new = body.convert({"data": wanted.image.rpartition(";base64,")[2]}, NewPicture)
    await _directory(request).set_picture(record, _query(request, "groupJid"), new)
    return json_response({"update": "success"}, status=201)


async def leave(request: web.Request) -> web.Response:
    record, group = find(request), _query(request, "groupJid")
    await _directory(request).leave_group(record, group)
    return json_response({"groupJid": group, "leave": True})

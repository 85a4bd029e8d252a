"""Evolution's operations on people and on the own account."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.dialects.evolution import requests
from bot_service.dialects.evolution.context import find
from bot_service.domain.addresses import address, can_be_answered
from bot_service.domain.people import Person
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.messages.people import ChangePresence, ChangeProfile, NewPicture, People
from shared.web import body
from shared.web.body import json_response

_PAGE = 1000


def _people(request: web.Request) -> People:
    return request.app[keys.MESSAGES].people


async def set_presence(request: web.Request) -> web.Response:
    """Of the account: whether its contacts see it as online."""
    record, wanted = find(request), await body.read(request, requests.OwnPresence)
    await _people(request).set_presence(record, ChangePresence(wanted.presence))
    return json_response({"presence": wanted.presence}, status=201)


async def contacts(request: web.Request) -> web.Response:
    """All that the phone shared, or the one in ``where``."""
    record, wanted = find(request), await body.read(request, requests.FindContacts, optional=True)
    where = wanted.where or requests.ContactFilter()
    only = where.id or where.remoteJid
    if only:
        found: list[Person] = [await _people(request).contact(record, only)]
    else:
        found, after = [], None
        while True:
            page, after = await _people(request).contacts(record, after=after, limit=_PAGE)
            found += page
            if after is None:
                break
    return json_response([_contact(record, person) for person in found])


def _contact(record: SessionRecord, person: Person) -> dict[str, Any]:
    name = person.name or person.push_name or person.business_name
    return {"id": person.jid, "remoteJid": person.jid, "pushName": name, "profilePicUrl": None, "instanceId": record.id}


async def profile(request: web.Request) -> web.Response:
    """Of a person, with the picture if the account may see it."""
    record, wanted = find(request), await body.read(request, requests.ChatNumber)
    jid = address(str(wanted.number), "number")
    if not can_be_answered(jid) or jid.endswith("@g.us"):
        raise invalid("number", "must be a person, for example 33612345678")
    person = await _people(request).contact(record, jid)
    picture = await request.app[keys.MESSAGES].directory.picture(record, jid, preview=False)
    return json_response(
        {
            "wuid": jid,
            "name": person.name or person.push_name or person.business_name,
            "numberExists": True,
            "picture": picture.url if picture else None,
            "status": {"status": person.about or ""},
            "isBusiness": person.business_name is not None,
        }
    )


async def set_name(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.ProfileName)
    return await _change(request, {"name": wanted.name})


async def set_status(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.ProfileStatus)
    return await _change(request, {"about": wanted.status})


async def _change(request: web.Request, changes: dict[str, str]) -> web.Response:
    await _people(request).change_profile(find(request), body.convert(changes, ChangeProfile))
    return json_response({"update": "success"}, status=201)


async def set_picture(request: web.Request) -> web.Response:
    """A JPEG in base64."""
    record, wanted = find(request), await body.read(request, requests.ProfilePicture, limit=2 * body.BODY_BYTES)
    if wanted.picture.startswith(("http://", "https://")):
        raise invalid("picture", "must be a JPEG in base64, not the address of one")
    new = body.convert({"data": wanted.picture.rpartition(";base64,")[2]}, NewPicture)
    await _people(request).set_picture(record, new)
    return json_response({"update": "success"}, status=201)


async def block(request: web.Request) -> web.Response:
    record, wanted = find(request), await body.read(request, requests.BlockStatus)
    await _people(request).block(record, str(wanted.number), blocked=wanted.status == "block")
    return json_response({"block": "success"}, status=201)

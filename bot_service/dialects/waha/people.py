"""WAHA's operations on contacts, hidden addresses, the profile, presence, stars and calls."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.api.server.request import integer
from bot_service.dialects import sending
from bot_service.dialects.waha import events, names
from bot_service.dialects.waha.requests import Picture, new_picture
from bot_service.dialects.waha.sessions import find, named
from bot_service.domain.addresses import address
from bot_service.domain.people import Person
from bot_service.domain.refused import invalid
from bot_service.messages import people as ours
from bot_service.messages.people import People
from bot_service.messages.requests import ShowTyping
from shared.web import body
from shared.web.body import json_response

DONE = {"success": True}
_ALL = 10**6
# What WAHA calls the typing states of a chat.
_TYPING = {"typing": "composing", "paused": "paused", "recording": "recording"}


class Contact(msgspec.Struct):
    contactId: str
    session: str = "default"


class Star(msgspec.Struct):
    messageId: str
    star: bool
    session: str = "default"


class Name(msgspec.Struct):
    name: str


class Status(msgspec.Struct):
    status: str


class Presence(msgspec.Struct):
    presence: Literal["offline", "online", "typing", "recording", "paused"]
    chatId: str | None = None


class Call(msgspec.Struct):
    from_: str = msgspec.field(name="from")
    id: str


def _people(request: web.Request) -> People:
    return request.app[keys.MESSAGES].people


async def index(request: web.Request) -> web.Response:
    """All contacts, by address. ``offset`` counts them."""
    record = find(request, request.query.get("session", "default"))
    limit, offset = integer(request, "limit", 100, 1, 10_000), integer(request, "offset", 0, 0, 10**6)
    found, _ = await _people(request).contacts(record, limit=offset + limit)
    return json_response([_contact(person) for person in found[offset:]])


async def by_query(request: web.Request) -> web.Response:
    record = find(request, request.query.get("session", "default"))
    return json_response(_contact(await _people(request).contact(record, request.query.get("contactId", ""))))


async def by_path(request: web.Request) -> web.Response:
    return json_response(_contact(await _people(request).contact(named(request), request.match_info["id"])))


async def about(request: web.Request) -> web.Response:
    record = find(request, request.query.get("session", "default"))
    found = await _people(request).contact(record, request.query.get("contactId", ""))
    return json_response({"about": found.about})


async def block(request: web.Request) -> web.Response:
    return await _block(request, blocked=True)


async def unblock(request: web.Request) -> web.Response:
    return await _block(request, blocked=False)


async def _block(request: web.Request, *, blocked: bool) -> web.Response:
    wanted = await body.read(request, Contact)
    await _people(request).block(find(request, wanted.session), wanted.contactId, blocked=blocked)
    return json_response(DONE, status=201)


async def lids(request: web.Request) -> web.Response:
    """Of the contacts with both addresses, by number. ``offset`` counts them."""
    limit, offset = integer(request, "limit", 100, 1, 10_000), integer(request, "offset", 0, 0, 10**6)
    found = (await _with_lid(request))[offset : offset + limit]
    return json_response([{"lid": person.lid, "pn": names.chat_out(person.jid)} for person in found])


async def count_lids(request: web.Request) -> web.Response:
    return json_response({"count": len(await _with_lid(request))})


async def _with_lid(request: web.Request) -> list[Person]:
    found, _ = await _people(request).contacts(named(request), limit=_ALL)
    return [person for person in found if person.lid is not None and person.jid != person.lid]


async def number_of_lid(request: web.Request) -> web.Response:
    lid = request.match_info["lid"]
    return await _addresses(request, lid if "@" in lid else f"{lid}@lid")


async def lid_of_number(request: web.Request) -> web.Response:
    return await _addresses(request, request.match_info["phoneNumber"])


async def _addresses(request: web.Request, contact: str) -> web.Response:
    """What is not known is left out."""
    found = await _people(request).addresses(named(request), contact)
    shown = {"lid": found.lid if found.lid else found.jid if found.jid.endswith("@lid") else None}
    shown["pn"] = names.chat_out(found.jid) if not found.jid.endswith("@lid") else None
    return json_response({name: value for name, value in shown.items() if value is not None})


async def profile(request: web.Request) -> web.Response:
    record = named(request)
    found = await _people(request).profile(record)
    picture = await request.app[keys.MESSAGES].directory.picture(record, found.jid, preview=False)
    shown = {"id": names.chat_out(found.jid), "name": found.name or "", "picture": picture.url if picture else ""}
    return json_response(shown)


async def set_name(request: web.Request) -> web.Response:
    return await _change_profile(request, Name, "name", "name")


async def set_status(request: web.Request) -> web.Response:
    return await _change_profile(request, Status, "status", "about")


async def _change_profile(request: web.Request, kind: type[msgspec.Struct], theirs: str, own: str) -> web.Response:
    record, given = named(request), await body.read(request, kind)
    await _people(request).change_profile(record, body.convert({own: getattr(given, theirs)}, ours.ChangeProfile))
    return json_response(DONE)


async def set_picture(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, Picture, limit=sending.file_body_limit(request))
    await _people(request).set_picture(record, new_picture(wanted))
    return json_response(DONE)


async def set_presence(request: web.Request) -> web.Response:
    """`online` and `offline` are of the account, the others of a chat."""
    record, wanted = named(request), await body.read(request, Presence)
    if wanted.presence in _TYPING:
        if wanted.chatId is None:
            raise invalid("chatId", f"is needed: {wanted.presence} is shown in a chat")
        shown = body.convert({"chat": wanted.chatId, "state": _TYPING[wanted.presence]}, ShowTyping)
        await request.app[keys.MESSAGES].commands.show_typing(record, shown)
    else:
        state = "available" if wanted.presence == "online" else "unavailable"
        await _people(request).set_presence(record, body.convert({"state": state}, ours.ChangePresence))
    return json_response(DONE, status=201)


async def follow_presence(request: web.Request) -> web.Response:
    """What is heard of the person comes as `presence.update`."""
    record = named(request)
    wanted = body.convert({"chat": request.match_info["chatId"]}, ours.FollowPresence)
    await _people(request).follow_presence(record, wanted)
    return json_response(DONE, status=201)


async def presences(request: web.Request) -> web.Response:
    """What was heard last, by chat."""
    record = named(request)
    found: dict[str, dict[str, Any]] = {}
    for shown in map(events.presence, request.app[keys.EVENTS].presence.known(record)):
        found.setdefault(shown["id"], {"id": shown["id"], "presences": []})["presences"] += shown["presences"]
    return json_response(list(found.values()))


async def presence(request: web.Request) -> web.Response:
    """What was heard last in one chat; of a person that is not followed yet, this follows it."""
    record, chat = named(request), address(request.match_info["chatId"], "chatId")
    heard = [each for each in request.app[keys.EVENTS].presence.known(record) if each["chat"] == chat]
    if not heard and not chat.endswith("@g.us"):
        await _people(request).follow_presence(record, body.convert({"chat": chat}, ours.FollowPresence))
    found = [each for shown in map(events.presence, heard) for each in shown["presences"]]
    return json_response({"id": names.chat_out(chat), "presences": found})


async def star(request: web.Request) -> web.Response:
    wanted = await body.read(request, Star)
    record = find(request, wanted.session)
    target = await sending.stored(request, record, names.plain_id(wanted.messageId))
    await _people(request).star(record, target, starred=wanted.star)
    return json_response(DONE)


async def reject_call(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, Call)
    await _people(request).reject_call(record, wanted.id, body.convert({"from": wanted.from_}, ours.RejectCall))
    return json_response(DONE, status=201)


def _contact(person: Person) -> dict[str, Any]:
    number = person.jid.partition("@")[0] if not person.jid.endswith("@lid") else None
    return {
        "id": names.chat_out(person.jid),
        "number": number,
        "lid": person.lid,
        "name": person.name,
        "pushname": person.push_name,
        "shortName": person.name or person.push_name,
        "isBusiness": person.business_name is not None,
        "isGroup": False,
        "isUser": True,
    }

"""The handlers of contacts, profile, presence, calls, blocks and addresses."""

from __future__ import annotations

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.api.server.request import page_limit, session_of
from bot_service.domain.people import Person
from bot_service.messages.people import (
    ChangePresence,
    ChangeProfile,
    FollowPresence,
    NewPicture,
    People,
    RejectCall,
)
from shared.web import body
from shared.web.body import json_response


class ContactPage(msgspec.Struct, frozen=True):
    """``next`` is the ``after`` of the page that follows."""

    contacts: list[Person]
    next: str | None


class PictureView(msgspec.Struct, frozen=True):
    id: str


class BlocklistView(msgspec.Struct, frozen=True):
    blocked: list[str]


class AddressesView(msgspec.Struct, frozen=True):
    """``jid`` is the address with the number, ``lid`` the hidden one; null while it is not known."""

    jid: str
    lid: str | None


def _people(request: web.Request) -> People:
    return request.app[keys.MESSAGES].people


def _contact(request: web.Request) -> str:
    return request.match_info["contactId"]


async def contacts(request: web.Request) -> web.Response:
    record, query, limit = session_of(request), request.query, page_limit(request)
    found, following = await _people(request).contacts(
        record, search=query.get("search"), after=query.get("after"), limit=limit
    )
    return json_response(ContactPage(found, following))


async def contact(request: web.Request) -> web.Response:
    return json_response(await _people(request).contact(session_of(request), _contact(request)))


async def profile(request: web.Request) -> web.Response:
    return json_response(await _people(request).profile(session_of(request)))


async def change_profile(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, ChangeProfile)
    return json_response(await _people(request).change_profile(record, wanted))


async def set_picture(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, NewPicture, limit=request.client_max_size)
    return json_response(PictureView(await _people(request).set_picture(record, wanted)))


async def set_presence(request: web.Request) -> web.Response:
    await _people(request).set_presence(session_of(request), await body.read(request, ChangePresence))
    return web.Response(status=204)


async def follow_presence(request: web.Request) -> web.Response:
    await _people(request).follow_presence(session_of(request), await body.read(request, FollowPresence))
    return web.Response(status=204)


async def reject_call(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, RejectCall)
    await _people(request).reject_call(record, request.match_info["callId"], wanted)
    return web.Response(status=204)


async def star(request: web.Request) -> web.Response:
    return await _star(request, starred=True)


async def unstar(request: web.Request) -> web.Response:
    return await _star(request, starred=False)


async def _star(request: web.Request, *, starred: bool) -> web.Response:
    record, commands = session_of(request), request.app[keys.MESSAGES].commands
    target = await commands.get(principal(request), record, request.match_info["messageId"])
    await _people(request).star(record, target, starred=starred)
    return web.Response(status=204)


async def blocklist(request: web.Request) -> web.Response:
    return json_response(BlocklistView(await _people(request).blocklist(session_of(request))))


async def block(request: web.Request) -> web.Response:
    blocked = await _people(request).block(session_of(request), _contact(request), blocked=True)
    return json_response(BlocklistView(blocked))


async def unblock(request: web.Request) -> web.Response:
    blocked = await _people(request).block(session_of(request), _contact(request), blocked=False)
    return json_response(BlocklistView(blocked))


async def addresses(request: web.Request) -> web.Response:
    found = await _people(request).addresses(session_of(request), _contact(request))
    return json_response(AddressesView(found.jid, found.lid))

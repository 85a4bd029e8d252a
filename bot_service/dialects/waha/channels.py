"""WAHA's operations on channels, over the channels of this service."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.dialects.waha.sessions import named
from bot_service.domain.channels import Channel
from bot_service.domain.refused import invalid
from bot_service.messages.channels import LINK, Channels, NewChannel
from shared.web import body
from shared.web.body import json_response


class Create(msgspec.Struct):
    name: str
    description: str = ""
    picture: Any = None


def _channels(request: web.Request) -> Channels:
    return request.app[keys.MESSAGES].channels


async def index(request: web.Request) -> web.Response:
    """``role`` narrows the list."""
    role = request.query.get("role", "")
    found = [_shown(each) for each in await _channels(request).all(named(request))]
    return json_response([each for each in found if role in ("", each["role"])])


async def create(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, Create)
    if wanted.picture is not None:
        raise invalid("picture", "must be left out: this service makes channels without one")
    new = body.convert({"name": wanted.name, "description": wanted.description}, NewChannel)
    return json_response(_shown(await _channels(request).create(record, new)), status=201)


async def read(request: web.Request) -> web.Response:
    return json_response(_shown(await _channels(request).get(named(request), request.match_info["id"])))


async def follow(request: web.Request) -> web.Response:
    await _channels(request).follow(named(request), request.match_info["id"], follow=True)
    return json_response({}, status=201)


async def unfollow(request: web.Request) -> web.Response:
    await _channels(request).follow(named(request), request.match_info["id"], follow=False)
    return json_response({}, status=201)


async def mute(request: web.Request) -> web.Response:
    await _channels(request).mute(named(request), request.match_info["id"], mute=True)
    return json_response({}, status=201)


async def unmute(request: web.Request) -> web.Response:
    await _channels(request).mute(named(request), request.match_info["id"], mute=False)
    return json_response({}, status=201)


def _shown(channel: Channel) -> dict[str, Any]:
    return {
        "id": channel.id,
        "name": channel.name,
        "description": channel.description,
        "invite": LINK + channel.invite if channel.invite else "",
        "role": channel.role.upper(),
        "verified": channel.verified,
        "subscribersCount": channel.subscribers,
    }

"""The handlers of channels."""

from __future__ import annotations

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.api.server.request import session_of
from bot_service.domain.channels import Channel, ChannelRole
from bot_service.messages.channels import LINK, Channels, NewChannel
from shared.web import body
from shared.web.body import json_response


class ChannelView(msgspec.Struct, frozen=True, rename="camel"):
    """A ``guest`` does not follow the channel. ``link`` is where others find it."""

    id: str
    name: str
    description: str
    link: str | None
    role: ChannelRole
    subscribers: int
    verified: bool
    muted: bool


class ChannelsView(msgspec.Struct, frozen=True):
    channels: list[ChannelView]


def _view(channel: Channel) -> ChannelView:
    same = {name: getattr(channel, name) for name in ChannelView.__struct_fields__ if name != "link"}
    return ChannelView(link=LINK + channel.invite if channel.invite else None, **same)


def _channels(request: web.Request) -> Channels:
    return request.app[keys.MESSAGES].channels


async def index(request: web.Request) -> web.Response:
    found = await _channels(request).all(session_of(request))
    return json_response(ChannelsView([_view(each) for each in found]))


async def create(request: web.Request) -> web.Response:
    record, wanted = session_of(request), await body.read(request, NewChannel)
    return json_response(_view(await _channels(request).create(record, wanted)), status=201)


async def read(request: web.Request) -> web.Response:
    return json_response(_view(await _channels(request).get(session_of(request), request.match_info["channelId"])))


async def follow(request: web.Request) -> web.Response:
    return await _follow(request, follow=True)


async def unfollow(request: web.Request) -> web.Response:
    return await _follow(request, follow=False)


async def mute(request: web.Request) -> web.Response:
    return await _mute(request, mute=True)


async def unmute(request: web.Request) -> web.Response:
    return await _mute(request, mute=False)


async def _follow(request: web.Request, *, follow: bool) -> web.Response:
    await _channels(request).follow(session_of(request), request.match_info["channelId"], follow=follow)
    return web.Response(status=204)


async def _mute(request: web.Request, *, mute: bool) -> web.Response:
    await _channels(request).mute(session_of(request), request.match_info["channelId"], mute=mute)
    return web.Response(status=204)

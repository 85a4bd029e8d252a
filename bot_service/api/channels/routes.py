"""The routes of channels, described."""

from __future__ import annotations

from bot_service.access.principals import Scope
from bot_service.api.channels import handlers
from bot_service.api.channels.handlers import ChannelsView, ChannelView
from bot_service.api.server.route import Response, Route
from bot_service.messages.channels import NewChannel

ONE = "/api/sessions/{id}/channels"
_ASKED = (409, 502, 504)
_EXAMPLE = {
    "id": "120363041234567890@newsletter",
    "name": "News of the shop",
    "description": "",
    "link": "https://whatsapp.com/channel/0029VaAbCdEf",
    "role": "subscriber",
    "subscribers": 12,
    "verified": False,
    "muted": False,
}

ROUTES = [
    Route(
        "GET", ONE, handlers.index, Scope.READ,
        "Channels", "List channels", "Those that the account owns or follows, asked from WhatsApp.",
        {200: Response("All channels.", ChannelsView)}, problems=_ASKED,
    ),
    Route(
        "POST", ONE, handlers.create, Scope.SEND,
        "Channels", "Create a channel",
        "WhatsApp wants its terms for channels accepted on the phone before the first one: until then 409 `refused_by_whatsapp`.",
        {201: Response("The channel.", ChannelView, example=_EXAMPLE | {"role": "owner"})},
        body=NewChannel, problems=_ASKED, example={"name": "News of the shop"},
    ),
    Route(
        "GET", f"{ONE}/{{channelId}}", handlers.read, Scope.SEND,
        "Channels", "Get a channel", "Also one that the account does not follow.",
        {200: Response("The channel.", ChannelView, example=_EXAMPLE)}, problems=(*_ASKED, 422),
    ),
    Route(
        "PUT", f"{ONE}/{{channelId}}/follow", handlers.follow, Scope.SEND,
        "Channels", "Follow a channel", "The account becomes a subscriber of it, on all its devices.",
        {204: Response("Done.")}, problems=(*_ASKED, 422),
    ),
    Route(
        "DELETE", f"{ONE}/{{channelId}}/follow", handlers.unfollow, Scope.SEND,
        "Channels", "Unfollow a channel", "The account is no subscriber any more.",
        {204: Response("Done.")}, problems=(*_ASKED, 422),
    ),
    Route(
        "PUT", f"{ONE}/{{channelId}}/mute", handlers.mute, Scope.SEND,
        "Channels", "Mute a channel", "Phones of the account show no notification for it.",
        {204: Response("Done.")}, problems=(*_ASKED, 422),
    ),
    Route(
        "DELETE", f"{ONE}/{{channelId}}/mute", handlers.unmute, Scope.SEND,
        "Channels", "Unmute a channel", "Phones of the account show notifications for it again.",
        {204: Response("Done.")}, problems=(*_ASKED, 422),
    ),
]  # fmt: skip

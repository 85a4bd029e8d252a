"""A session that WAHA's clients see, and messages that come to it."""

from __future__ import annotations

import base64
import functools
from typing import Any

from bot_service.dialects.waha.paths import PREFIX
from bot_service.domain import channels, people
from bot_service.domain import directory as ask
from bot_service.domain.channels import Channel
from bot_service.domain.message import Poll
from bot_service.domain.states import State
from tests.dialects import arriving
from tests.support.bot_app import Bot, is_in

PNG, JPEG = (base64.b64encode(head).decode() for head in (b"\x89PNG", b"\xff\xd8\xff"))
CHANNEL = Channel("120363041234567890@newsletter", "News", "", "0029Va", "subscriber", 3, False, False)
CHAT, JID, GROUP = "33612345678@c.us", "33612345678@s.whatsapp.net", "120363041234567890@g.us"


async def call(bot: Bot, method: str, path: str, body: Any = None, **kwargs: Any) -> tuple[int, Any]:
    return await bot.call(method, PREFIX + path, body, **kwargs)


async def working(bot: Bot, name: str = "default", **config: Any) -> None:
    status, answer = await call(bot, "POST", "/api/sessions", {"name": name, "config": config})
    assert status == 201, answer
    await is_in(bot, name, State.PAIRING)
    bot.pool.pair(name)
    await is_in(bot, name, State.READY)


came = functools.partial(arriving.came, "default")


async def every_call(bot: Bot) -> list[tuple[str, str, Any]]:
    """A good call of every operation of a linked session; WhatsApp answers all of them."""
    await working(bot)
    await came(bot, "AAA")
    await came(bot, "BBB", GROUP, type="poll", text="q", poll=Poll("q", ("a", "b"), 1))
    bot.pool.answers[ask.CheckNumbers] = [ask.NumberCheck("33612345678", True, JID)]
    group = ask.Group(GROUP, "Orders", "d", JID, 1_800_000_000_000, True, False, (ask.GroupMember(JID, True),))
    for question in (ask.GetGroup, ask.CreateGroup, ask.ChangeGroup):
        bot.pool.answers[question] = group
    bot.pool.answers |= {
        ask.ListGroups: [group], ask.ChangeMembers: [ask.GroupMember(JID), ask.GroupMember("49151@s.whatsapp.net", error=403)],
        ask.InviteLink: "https://chat.whatsapp.com/Code", ask.JoinGroup: GROUP, ask.LeaveGroup: None, ask.GetPicture: None,
        ask.GetInvitedGroup: group, ask.SetGroupPicture: "1",
    }  # fmt: skip
    ann = people.PersonDetails(JID, "9@lid", "Ann", about="hi")
    bot.pool.answers |= {
        people.ListContacts: [ann], people.GetContact: ann, people.FindAddress: ann, people.GetBlocklist: [],
        people.GetProfile: people.Profile(JID, "9@lid", "Me", "hi", None), people.SetPicture: "1", people.Block: [JID],
        people.ChangeProfile: people.Profile(JID, None, "Me", "hi", None), people.SetPresence: None,
        people.FollowPresence: None, people.RejectCall: None, people.StarMessage: None,
    }  # fmt: skip
    bot.pool.answers |= {
        channels.ListChannels: [CHANNEL], channels.CreateChannel: CHANNEL, channels.GetChannel: CHANNEL,
        channels.FollowChannel: None, channels.MuteChannel: None,
    }  # fmt: skip
    one_group, members = f"/api/default/groups/{GROUP}", {"participants": [{"id": CHAT}]}
    chat = {"session": "default", "chatId": CHAT}
    file = {"mimetype": "image/png", "filename": "a.png", "data": PNG}
    own = (await call(bot, "POST", "/api/sendText", {**chat, "text": "own"}))[1]["id"]
    look = {"text": "hi", "backgroundColor": "#38b42f", "font": 1}
    status = (await call(bot, "POST", "/api/default/status/text", look))[1]["id"]
    return [
        ("GET", "/ping", None),
        ("GET", "/health", None),
        ("GET", "/api/version", None),
        ("GET", "/api/server/version", None),
        ("GET", "/api/server/status", None),
        ("GET", "/api/sessions?all=true", None),
        ("POST", "/api/sessions", {"name": "other", "start": False, "config": {"metadata": {"a": "b"}}}),
        ("GET", "/api/sessions/default", None),
        ("PUT", "/api/sessions/other", {"config": {"metadata": {"a": "c"}}}),
        ("GET", "/api/sessions/default/me", None),
        ("POST", "/api/sessions/other/start", None),
        ("POST", "/api/sessions/other/restart", None),
        ("POST", "/api/sessions/other/stop", None),
        ("POST", "/api/sessions/start", {"name": "third"}),
        ("POST", "/api/sessions/stop", {"name": "third"}),
        ("DELETE", "/api/sessions/other", None),
        ("POST", "/api/sendText", {**chat, "text": "hi", "reply_to": f"false_{CHAT}_AAA", "linkPreview": True}),
        ("POST", "/api/sendImage", {**chat, "file": file, "caption": "see"}),
        ("POST", "/api/sendFile", {**chat, "file": file}),
        ("POST", "/api/sendVoice", {**chat, "file": {**file, "mimetype": "audio/ogg; codecs=opus"}, "convert": False}),
        ("POST", "/api/sendVideo", {**chat, "file": {**file, "mimetype": "video/mp4"}, "convert": False}),
        ("POST", "/api/sendLocation", {**chat, "latitude": 1.5, "longitude": 2.5, "title": "Office"}),
        ("POST", "/api/sendContactVcard", {**chat, "contacts": [{"fullName": "Ann", "phoneNumber": "+33 612345678"}]}),
        ("POST", "/api/sendPoll", {**chat, "poll": {"name": "q", "options": ["a", "b"], "multipleAnswers": False}}),
        ("POST", "/api/forwardMessage", {**chat, "messageId": f"false_{GROUP}_BBB_{CHAT}"}),
        ("PUT", "/api/reaction", {"session": "default", "messageId": f"false_{CHAT}_AAA", "reaction": "👍"}),
        ("POST", "/api/sendSeen", chat),
        ("POST", "/api/sendSeen", {**chat, "messageIds": [f"false_{CHAT}_AAA"]}),
        ("POST", "/api/startTyping", chat),
        ("POST", "/api/stopTyping", chat),
        ("GET", "/api/contacts/check-exists?phone=33612345678&session=default", None),
        ("GET", "/api/checkNumberStatus?phone=33612345678&session=default", None),
        ("GET", "/api/contacts/profile-picture?contactId=33612345678@c.us&session=default", None),
        ("GET", "/api/sendText?phone=33612345678&text=hi&session=default", None),
        ("POST", "/api/sendLinkPreview", {**chat, "url": "https://example.com", "title": "A page"}),
        (
            "POST",
            "/api/send/link-custom-preview",
            {
                **chat,
                "text": "See https://example.com",
                "preview": {"url": "https://example.com", "title": "A page", "description": "", "image": {"url": "x"}},
            },
        ),
        ("POST", "/api/reply", {**chat, "text": "hi", "reply_to": f"false_{CHAT}_AAA"}),
        ("GET", "/api/contacts?contactId=33612345678@c.us&session=default", None),
        ("GET", "/api/contacts/all?session=default&limit=5", None),
        ("GET", "/api/contacts/about?contactId=33612345678&session=default", None),
        ("POST", "/api/contacts/block", {"contactId": CHAT, "session": "default"}),
        ("POST", "/api/contacts/unblock", {"contactId": CHAT, "session": "default"}),
        ("GET", f"/api/default/contacts/{CHAT}", None),
        ("GET", "/api/default/lids?limit=5", None),
        ("GET", "/api/default/lids/count", None),
        ("GET", "/api/default/lids/123456789012345", None),
        ("GET", "/api/default/lids/pn/33612345678", None),
        ("GET", "/api/default/profile", None),
        ("PUT", "/api/default/profile/name", {"name": "Shop"}),
        ("PUT", "/api/default/profile/status", {"status": "open"}),
        ("PUT", "/api/default/profile/picture", {"file": {"mimetype": "image/jpeg", "data": JPEG}}),
        ("POST", "/api/default/presence", {"presence": "online"}),
        ("POST", "/api/default/presence", {"presence": "typing", "chatId": CHAT}),
        ("GET", "/api/default/presence", None),
        ("GET", f"/api/default/presence/{CHAT}", None),
        ("POST", f"/api/default/presence/{CHAT}/subscribe", None),
        ("PUT", "/api/star", {"messageId": f"false_{CHAT}_AAA", "chatId": CHAT, "star": True, "session": "default"}),
        ("POST", "/api/default/calls/reject", {"from": CHAT, "id": "C1"}),
        ("GET", f"/api/messages?chatId={CHAT}&session=default&limit=5", None),
        ("GET", f"/api/default/chats/{CHAT}/picture", None),
        ("POST", f"/api/default/chats/{CHAT}/messages/read?messages=5", None),
        ("GET", f"/api/default/chats/{CHAT}/messages/false_{CHAT}_AAA", None),
        ("GET", "/api/default/channels?role=SUBSCRIBER", None),
        ("POST", "/api/default/channels", {"name": "News"}),
        ("GET", f"/api/default/channels/{CHANNEL.id}", None),
        ("POST", f"/api/default/channels/{CHANNEL.id}/follow", None),
        ("POST", f"/api/default/channels/{CHANNEL.id}/unfollow", None),
        ("POST", f"/api/default/channels/{CHANNEL.id}/mute", None),
        ("POST", f"/api/default/channels/{CHANNEL.id}/unmute", None),
        ("POST", "/api/default/status/text", {"text": "hi", "backgroundColor": "#38b42f", "font": 0, "contacts": None}),
        ("POST", "/api/default/status/image", {"file": file, "caption": "see"}),
        (
            "POST",
            "/api/default/status/voice",
            {"file": {**file, "mimetype": "audio/ogg; codecs=opus"}, "backgroundColor": "#38b42f"},
        ),
        ("POST", "/api/default/status/video", {"file": {**file, "mimetype": "video/mp4"}, "caption": "see"}),
        ("POST", "/api/default/status/delete", {"id": status, "contacts": None}),
        ("GET", "/api/default/groups", None),
        ("POST", "/api/default/groups", {"name": "Orders", **members}),
        ("GET", "/api/default/groups/count", None),
        ("POST", "/api/default/groups/refresh", None),
        ("POST", "/api/default/groups/join", {"code": "https://chat.whatsapp.com/Code"}),
        ("GET", "/api/default/groups/join-info?code=https://chat.whatsapp.com/Code", None),
        ("PUT", f"{one_group}/picture", {"file": {"mimetype": "image/jpeg", "data": JPEG}}),
        ("GET", one_group, None),
        ("GET", f"{one_group}/picture", None),
        ("PUT", f"{one_group}/description", {"description": "new"}),
        ("PUT", f"{one_group}/subject", {"subject": "new"}),
        ("PUT", f"{one_group}/settings/security/info-admin-only", {"adminsOnly": True}),
        ("GET", f"{one_group}/settings/security/info-admin-only", None),
        ("PUT", f"{one_group}/settings/security/messages-admin-only", {"adminsOnly": True}),
        ("GET", f"{one_group}/settings/security/messages-admin-only", None),
        ("GET", f"{one_group}/invite-code", None),
        ("POST", f"{one_group}/invite-code/revoke", None),
        ("GET", f"{one_group}/participants", None),
        ("GET", f"{one_group}/participants/v2", None),
        ("POST", f"{one_group}/participants/add", members),
        ("POST", f"{one_group}/participants/remove", members),
        ("POST", f"{one_group}/admin/promote", members),
        ("POST", f"{one_group}/admin/demote", members),
        ("POST", f"{one_group}/leave", None),
        ("GET", "/api/default/chats", None),
        ("GET", "/api/default/chats/overview?limit=1", None),
        ("POST", "/api/default/chats/overview", {"pagination": {"limit": 1, "offset": 0}, "filter": {"ids": [CHAT]}}),
        ("GET", f"/api/default/chats/{CHAT}/messages?limit=10", None),
        ("PUT", f"/api/default/chats/{CHAT}/messages/{own}", {"text": "edited"}),
        ("DELETE", f"/api/default/chats/{CHAT}/messages/{own}", None),
        ("POST", "/api/sessions/default/logout", None),
    ]

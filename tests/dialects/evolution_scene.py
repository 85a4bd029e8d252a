"""An instance that Evolution's clients see, and messages that come to it."""

from __future__ import annotations

import base64
import functools
from typing import Any

from bot_service.dialects.evolution.routes import PREFIX
from bot_service.domain import directory as ask
from bot_service.domain import people
from bot_service.domain.states import State
from tests.dialects import arriving
from tests.support.bot_app import Bot, is_in
from tests.support.processes import API_KEY

NUMBER, JID, GROUP = "33612345678", "33612345678@s.whatsapp.net", "120363041234567890@g.us"
PNG = base64.b64encode(b"\x89PNG").decode()
OGG = base64.b64encode(b"OggS\x00\x02").decode()
FOUND_GROUP = ask.Group(
    GROUP,
    "Team",
    "About",
    JID,
    1_700_000_000_000,
    False,
    True,
    (ask.GroupMember(JID, True), ask.GroupMember("11111@lid")),
)


async def call(bot: Bot, method: str, path: str, body: Any = None, *, key: str | None = "", **kwargs: Any) -> Any:
    """With the key where Evolution's clients send it; ``""`` is the administrator's."""
    headers = dict(kwargs.pop("headers", {})) | ({} if key is None else {"apikey": key or API_KEY})
    return await bot.call(method, PREFIX + path, body, key=None, headers=headers, **kwargs)


async def opened(bot: Bot, name: str = "shop") -> None:
    body = {"instanceName": name, "qrcode": True, "integration": "WHATSAPP-BAILEYS"}
    assert (await call(bot, "POST", "/instance/create", body))[0] == 201
    bot.pool.pair(name)
    await is_in(bot, name, State.READY)


came = functools.partial(arriving.came, "shop")


async def every_call(bot: Bot) -> list[tuple[str, str, Any]]:
    """A good call of every operation, to a linked instance; WhatsApp answers all of them."""
    await opened(bot)
    await came(bot, "AAA")
    await came(bot, "BBB", GROUP)
    bot.pool.answers |= {
        ask.CheckNumbers: [ask.NumberCheck(NUMBER, True, JID)],
        ask.GetPicture: ask.Picture("https://pps.example/1", "1"),
        ask.ListGroups: [FOUND_GROUP],
        ask.GetGroup: FOUND_GROUP,
        ask.CreateGroup: FOUND_GROUP,
        ask.ChangeGroup: FOUND_GROUP,
        ask.ChangeMembers: [ask.GroupMember(JID)],
        ask.InviteLink: "https://chat.whatsapp.com/DgQvyfXz",
        ask.JoinGroup: GROUP,
        ask.GetInvitedGroup: FOUND_GROUP,
        ask.SetGroupPicture: "1",
        ask.LeaveGroup: None,
        people.SetPresence: None,
        people.ListContacts: [people.Person(JID, name="Ann")],
        people.GetContact: people.PersonDetails(JID, name="Ann", about="hi"),
        people.ChangeProfile: people.Profile(JID, None, "Shop", "open", None),
        people.SetPicture: "1",
        people.Block: [JID],
    }
    to = {"number": NUMBER}
    _, own = await call(bot, "POST", "/message/sendText/shop", {**to, "text": "own"})
    _, image = await call(
        bot, "POST", "/message/sendMedia/shop", {**to, "mediatype": "image", "mimetype": "image/png", "media": PNG}
    )
    group = f"?groupJid={GROUP}"
    status = {"caption": "", "backgroundColor": "#38b42f", "font": 1, "allContacts": True, "statusJidList": []}
    return [
        ("GET", "/", None),
        ("POST", "/instance/create", {"instanceName": "other", "integration": "WHATSAPP-BAILEYS", "number": NUMBER}),
        ("GET", "/instance/fetchInstances", None),
        ("GET", "/instance/fetchInstances?instanceName=shop", None),
        ("GET", "/instance/connect/other", None),
        ("GET", f"/instance/connect/other?number={NUMBER}", None),
        ("GET", "/instance/connect/shop", None),
        ("GET", "/instance/connectionState/shop", None),
        ("PUT", "/instance/restart/other", None),
        ("POST", "/instance/restart/other", None),
        ("DELETE", "/instance/delete/other", None),
        ("POST", "/settings/set/shop", {"rejectCall": False, "groupsIgnore": False, "msgCall": ""}),
        ("GET", "/settings/find/shop", None),
        ("POST", "/webhook/set/shop", {"webhook": {"enabled": True, "url": "https://example.com", "events": ["CALL"]}}),
        ("GET", "/webhook/find/shop", None),
        ("POST", "/message/sendText/shop", {**to, "text": "hi", "linkPreview": True, "delay": 1}),
        ("POST", "/message/sendMedia/shop", {**to, "mediatype": "image", "mimetype": "image/png", "media": PNG}),
        ("POST", "/message/sendMedia/shop", {**to, "mediatype": "document", "media": PNG, "fileName": "a.pdf"}),
        ("POST", "/message/sendWhatsAppAudio/shop", {**to, "audio": OGG}),
        ("POST", "/message/sendSticker/shop", {**to, "sticker": PNG}),
        ("POST", "/message/sendLocation/shop", {**to, "latitude": 1.5, "longitude": 2, "name": "A", "address": "B"}),
        ("POST", "/message/sendContact/shop", {**to, "contact": [{"fullName": "Ann", "phoneNumber": "+33 612345678"}]}),
        ("POST", "/message/sendPoll/shop", {**to, "name": "q", "selectableCount": 1, "values": ["a", "b"]}),
        (
            "POST",
            "/message/sendReaction/shop",
            {"key": {"remoteJid": JID, "fromMe": False, "id": "AAA"}, "reaction": "x"},
        ),
        ("POST", "/message/sendStatus/shop", {**status, "type": "text", "content": "hi"}),
        ("POST", "/message/sendStatus/shop", {**status, "type": "image", "content": PNG, "caption": "see"}),
        ("POST", "/message/sendStatus/shop", {**status, "type": "audio", "content": OGG}),
        ("POST", "/chat/whatsappNumbers/shop", {"numbers": [NUMBER]}),
        ("POST", "/chat/markMessageAsRead/shop", {"readMessages": [{"remoteJid": JID, "fromMe": False, "id": "AAA"}]}),
        ("POST", "/chat/sendPresence/shop", {**to, "options": {"delay": 1, "presence": "composing", "number": NUMBER}}),
        ("POST", "/chat/fetchProfilePictureUrl/shop", to),
        ("POST", "/chat/findMessages/shop", {"where": {"key": {"remoteJid": JID}}}),
        ("POST", "/chat/findChats/shop", None),
        ("POST", "/chat/getBase64FromMediaMessage/shop", {"message": {"key": {"id": image["key"]["id"]}}}),
        ("POST", "/chat/updateMessage/shop", {"number": 33612345678, "text": "new", "key": own["key"]}),
        ("DELETE", "/chat/deleteMessageForEveryone/shop", own["key"]),
        ("POST", "/instance/setPresence/shop", {"presence": "available"}),
        ("POST", "/chat/sendPresence/shop", {**to, "presence": "unavailable"}),
        ("POST", "/chat/findContacts/shop", {"where": {}}),
        ("POST", "/chat/findContacts/shop", {"where": {"id": JID}}),
        ("POST", "/chat/fetchProfile/shop", to),
        ("POST", "/chat/updateProfileName/shop", {"name": "Shop"}),
        ("POST", "/chat/updateProfileStatus/shop", {"status": "open"}),
        ("POST", "/chat/updateProfilePicture/shop", {"picture": base64.b64encode(b"\xff\xd8\xff").decode()}),
        ("POST", "/chat/updateBlockStatus/shop", {**to, "status": "block"}),
        ("POST", "/message/updateBlockStatus/shop", {**to, "status": "unblock"}),
        ("POST", "/group/create/shop", {"subject": "Team", "description": "About", "participants": [NUMBER]}),
        ("GET", "/group/fetchAllGroups/shop?getParticipants=false", None),
        ("GET", f"/group/findGroupInfos/shop{group}", None),
        ("GET", f"/group/participants/shop{group}", None),
        ("GET", f"/group/inviteCode/shop{group}", None),
        ("POST", f"/group/revokeInviteCode/shop{group}", None),
        ("GET", "/group/acceptInviteCode/shop?inviteCode=DgQvyfXz", None),
        ("POST", "/group/sendInvite/shop", {"groupJid": GROUP, "description": "Come", "numbers": [NUMBER]}),
        ("GET", "/group/inviteInfo/shop?inviteCode=DgQvyfXz", None),
        ("POST", f"/group/updateGroupPicture/shop{group}", {"image": base64.b64encode(b"\xff\xd8\xff").decode()}),
        ("POST", f"/group/updateGroupSubject/shop{group}", {"subject": "Team 2"}),
        ("POST", f"/group/updateGroupDescription/shop{group}", {"description": "New"}),
        ("POST", f"/group/updateSetting/shop{group}", {"action": "announcement"}),
        ("POST", f"/group/updateParticipant/shop{group}", {"action": "add", "participants": [NUMBER]}),
        ("DELETE", f"/group/leaveGroup/shop{group}", None),
        ("DELETE", "/instance/logout/shop", None),
    ]

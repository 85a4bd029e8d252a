"""The routes of the Evolution dialect: a client sets its server to ``http://host:3000/evolution``."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from bot_service.access.principals import Scope
from bot_service.dialects.edge import Edge
from bot_service.dialects.evolution import calls, chats, groups, instances, messages, names, people, proxies, webhooks
from shared.web import errors
from shared.web.body import json_response
from shared.web.middleware import Handler

PREFIX = "/evolution"
READ, SEND, MANAGE = Scope.READ, Scope.SEND, Scope.SESSION

ROUTES: list[tuple[str, str, Handler, Scope]] = [
    ("GET", "/", instances.info, READ),
    ("POST", "/instance/create", instances.create, MANAGE),
    ("GET", "/instance/fetchInstances", instances.index, READ),
    ("GET", "/instance/connect/{instance}", instances.connect, MANAGE),
    ("GET", "/instance/connectionState/{instance}", instances.connection_state, READ),
    ("PUT", "/instance/restart/{instance}", instances.restart, MANAGE),
    ("POST", "/instance/restart/{instance}", instances.restart, MANAGE),
    ("DELETE", "/instance/logout/{instance}", instances.logout, MANAGE),
    ("DELETE", "/instance/delete/{instance}", instances.delete, MANAGE),
    ("POST", "/instance/setPresence/{instance}", people.set_presence, SEND),
    ("POST", "/settings/set/{instance}", instances.set_settings, MANAGE),
    ("GET", "/settings/find/{instance}", instances.find_settings, READ),
    ("POST", "/proxy/set/{instance}", proxies.set_proxy, MANAGE),
    ("GET", "/proxy/find/{instance}", proxies.find_proxy, READ),
    ("POST", "/webhook/set/{instance}", webhooks.set_webhook, MANAGE),
    ("GET", "/webhook/find/{instance}", webhooks.find_webhook, READ),
    ("POST", "/message/sendText/{instance}", messages.send_text, SEND),
    ("POST", "/message/sendMedia/{instance}", messages.send_media, SEND),
    ("POST", "/message/sendWhatsAppAudio/{instance}", messages.send_audio, SEND),
    ("POST", "/message/sendSticker/{instance}", messages.send_sticker, SEND),
    ("POST", "/message/sendLocation/{instance}", messages.send_location, SEND),
    ("POST", "/message/sendContact/{instance}", messages.send_contact, SEND),
    ("POST", "/message/sendReaction/{instance}", messages.send_reaction, SEND),
    ("POST", "/message/sendPoll/{instance}", messages.send_poll, SEND),
    ("POST", "/message/sendStatus/{instance}", messages.send_status, SEND),
    ("POST", "/chat/whatsappNumbers/{instance}", chats.check_numbers, SEND),
    ("POST", "/chat/markMessageAsRead/{instance}", chats.mark_read, SEND),
    ("POST", "/chat/sendPresence/{instance}", chats.send_presence, SEND),
    ("POST", "/chat/fetchProfilePictureUrl/{instance}", chats.picture, SEND),
    ("POST", "/chat/findMessages/{instance}", chats.find_messages, READ),
    ("POST", "/chat/findChats/{instance}", chats.find_chats, READ),
    ("POST", "/chat/getBase64FromMediaMessage/{instance}", chats.media, READ),
    ("POST", "/chat/updateMessage/{instance}", messages.update_message, SEND),
    ("DELETE", "/chat/deleteMessageForEveryone/{instance}", messages.delete_message, SEND),
    ("POST", "/chat/findContacts/{instance}", people.contacts, SEND),
    ("POST", "/chat/fetchProfile/{instance}", people.profile, SEND),
    ("POST", "/chat/updateProfileName/{instance}", people.set_name, MANAGE),
    ("POST", "/chat/updateProfileStatus/{instance}", people.set_status, MANAGE),
    ("POST", "/chat/updateProfilePicture/{instance}", people.set_picture, MANAGE),
    ("POST", "/chat/updateBlockStatus/{instance}", people.block, SEND),
    ("POST", "/message/updateBlockStatus/{instance}", people.block, SEND),
    ("POST", "/group/create/{instance}", groups.create, SEND),
    ("GET", "/group/fetchAllGroups/{instance}", groups.index, SEND),
    ("GET", "/group/findGroupInfos/{instance}", groups.read, SEND),
    ("GET", "/group/participants/{instance}", groups.participants, SEND),
    ("GET", "/group/inviteCode/{instance}", groups.invite_code, SEND),
    ("POST", "/group/revokeInviteCode/{instance}", groups.revoke_invite_code, SEND),
    ("GET", "/group/acceptInviteCode/{instance}", groups.accept_invite, SEND),
    ("POST", "/group/sendInvite/{instance}", groups.send_invite, SEND),
    ("GET", "/group/inviteInfo/{instance}", groups.invited, SEND),
    ("POST", "/group/updateGroupPicture/{instance}", groups.set_picture, SEND),
    ("POST", "/group/updateGroupSubject/{instance}", groups.set_subject, SEND),
    ("POST", "/group/updateGroupDescription/{instance}", groups.set_description, SEND),
    ("POST", "/group/updateSetting/{instance}", groups.set_setting, SEND),
    ("POST", "/group/updateParticipant/{instance}", groups.update_participants, SEND),
    ("DELETE", "/group/leaveGroup/{instance}", groups.leave, SEND),
]
# Apprise puts no path before this one.
AT_THE_ROOT = ("POST", "/message/sendText/{instance}", messages.send_text, SEND)
_SHARED = "the library cannot change what an account shares between its devices"
# Operations of Evolution that are not here, by the first parts of their path, and why.
NOT_HERE = {
    "/message/sendButtons": "WhatsApp shows buttons of business accounts only",
    "/message/sendList": "WhatsApp shows lists of business accounts only",
    "/chat/markChatUnread": _SHARED,
    "/chat/archiveChat": _SHARED,
    "/chat/findStatusMessage": "what became of a message is in /chat/findMessages",
    "/chat/fetchBusinessProfile": "business profiles are not read",
    "/chat/removeProfilePicture": "the library cannot send an empty picture: set another",
    "/chat/fetchPrivacySettings": "privacy settings are kept on the phone",
    "/chat/updatePrivacySettings": "privacy settings are kept on the phone",
    "/group/toggleEphemeral": "disappearing messages cannot be turned on",
    "/call": "calls cannot be made: the library cannot carry sound",
    "/label": _SHARED,
    "/template": "WhatsApp has templates for business accounts only",
    "/business": "catalogues are not read",
    "/s3": "files are kept by this service: /chat/getBase64FromMediaMessage has them",
    "/chatwoot": "Chatwoot is reached through a webhook",
    "/rabbitmq": "events go to webhooks and to the event stream",
    "/nats": "events go to webhooks and to the event stream",
    "/kafka": "events go to webhooks and to the event stream",
    "/pusher": "events go to webhooks and to the event stream",
    "/sqs": "events go to webhooks and to the event stream",
    "/websocket": "events go to webhooks and to the event stream",
    "/typebot": "bots of other programs get messages through a webhook",
    "/openai": "bots of other programs get messages through a webhook",
    "/dify": "bots of other programs get messages through a webhook",
    "/n8n": "n8n gets messages through a webhook",
    "/evoai": "bots of other programs get messages through a webhook",
    "/flowise": "bots of other programs get messages through a webhook",
    "/evolutionBot": "bots of other programs get messages through a webhook",
}


async def _not_here(request: web.Request) -> web.StreamResponse:
    """501 for what Evolution has, so that no client takes it for a missing instance."""
    path = request.path.removeprefix(PREFIX)
    for known, why in NOT_HERE.items():
        if path.startswith(known):
            raise errors.Problem(501, "not_supported", f"{request.method} {known}: {why}")
    raise web.HTTPNotFound


def mount(app: web.Application, scopes: dict[tuple[str, str], Scope]) -> None:
    """Add the routes to ``app``, and their scopes to the table of its gate."""
    here = [(method, PREFIX + path, handler, scope) for method, path, handler, scope in ROUTES]
    rest = [(method, f"{PREFIX}/{{rest:.*}}", _not_here, READ) for method in ("GET", "POST", "PUT", "DELETE")]
    for method, path, handler, scope in [*here, AT_THE_ROOT, ("GET", PREFIX, instances.info, READ), *rest]:
        app.router.add_route(method, path, handler)
        scopes[method, path.replace(":.*", "")] = scope
    app.on_startup.append(calls.listen)


def _refusal(problem: errors.Problem) -> web.Response:
    """In the shape of Evolution: ``status``, ``error``, ``response.message``."""
    wrong = [f"{names.FIELDS.get(name, name)}: {message}" for name, message in problem.fields.items()]
    status = 401 if isinstance(problem, errors.WrongKey) else _STATUS.get(problem.code, problem.status)
    answer = {
        "status": status,
        "error": HTTPStatus(status).phrase,
        "response": {"message": wrong or [problem.detail]},
        "code": problem.code,
    }
    return json_response(answer, status=status, headers=problem.headers)


# Where Evolution has another status for the same refusal.
_STATUS = {"invalid": 400, "exists": 403}

EDGE = Edge((PREFIX, "/message/sendText/"), _refusal, token=lambda request: request.headers.get("apikey"))

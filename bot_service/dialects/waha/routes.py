"""The routes of the WAHA dialect: a client sets its base URL to ``http://host:3000/waha``."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import hdrs, web

from bot_service.access.principals import Scope
from bot_service.api.messages.handlers import media
from bot_service.dialects.edge import Edge
from bot_service.dialects.waha import channels, groups, messages, not_here, people, sessions, statuses, websocket
from bot_service.dialects.waha.paths import FILE, PREFIX, WEBSOCKET
from shared.web import errors
from shared.web.body import json_response
from shared.web.middleware import Handler

READ, SEND, MANAGE = Scope.READ, Scope.SEND, Scope.SESSION

ROUTES: list[tuple[str, str, Handler, Scope]] = [
    ("GET", "/ping", sessions.ping, Scope.PUBLIC),
    ("GET", "/health", sessions.health, READ),
    ("GET", "/api/version", sessions.version, READ),
    ("GET", "/api/server/version", sessions.version, READ),
    ("GET", "/api/server/status", sessions.server_status, READ),
    ("GET", "/api/sessions", sessions.index, READ),
    ("POST", "/api/sessions", sessions.create, MANAGE),
    ("POST", "/api/sessions/start", sessions.old_start, MANAGE),
    ("POST", "/api/sessions/stop", sessions.old_stop, MANAGE),
    ("POST", "/api/sessions/logout", sessions.old_logout, MANAGE),
    ("GET", "/api/sessions/{session}", sessions.read, READ),
    ("PUT", "/api/sessions/{session}", sessions.change, MANAGE),
    ("DELETE", "/api/sessions/{session}", sessions.delete, MANAGE),
    ("GET", "/api/sessions/{session}/me", sessions.me, READ),
    ("POST", "/api/sessions/{session}/start", sessions.start, MANAGE),
    ("POST", "/api/sessions/{session}/stop", sessions.stop, MANAGE),
    ("POST", "/api/sessions/{session}/restart", sessions.restart, MANAGE),
    ("POST", "/api/sessions/{session}/logout", sessions.logout, MANAGE),
    ("GET", "/api/{session}/auth/qr", sessions.qr, MANAGE),
    ("POST", "/api/{session}/auth/request-code", sessions.request_code, MANAGE),
    ("POST", "/api/sendText", messages.send_text, SEND),
    ("GET", "/api/sendText", messages.send_text_by_query, SEND),
    ("POST", "/api/reply", messages.send_text, SEND),
    ("POST", "/api/sendLinkPreview", messages.send_bare_link, SEND),
    ("POST", "/api/send/link-custom-preview", messages.send_link, SEND),
    ("POST", "/api/sendImage", messages.send_image, SEND),
    ("POST", "/api/sendFile", messages.send_file, SEND),
    ("POST", "/api/sendVoice", messages.send_voice, SEND),
    ("POST", "/api/sendVideo", messages.send_video, SEND),
    ("POST", "/api/sendLocation", messages.send_location, SEND),
    ("POST", "/api/sendContactVcard", messages.send_contacts, SEND),
    ("POST", "/api/sendPoll", messages.send_poll, SEND),
    ("POST", "/api/forwardMessage", messages.forward, SEND),
    ("PUT", "/api/reaction", messages.react, SEND),
    ("POST", "/api/sendSeen", messages.seen, SEND),
    ("POST", "/api/startTyping", messages.start_typing, SEND),
    ("POST", "/api/stopTyping", messages.stop_typing, SEND),
    ("GET", "/api/contacts/check-exists", messages.check_exists, SEND),
    ("GET", "/api/checkNumberStatus", messages.check_exists, SEND),
    ("GET", "/api/contacts/profile-picture", groups.contact_picture, SEND),
    ("GET", "/api/messages", messages.old_history, READ),
    ("GET", "/api/contacts", people.by_query, READ),
    ("GET", "/api/contacts/all", people.index, READ),
    ("GET", "/api/contacts/about", people.about, READ),
    ("POST", "/api/contacts/block", people.block, SEND),
    ("POST", "/api/contacts/unblock", people.unblock, SEND),
    ("GET", "/api/{session}/contacts/{id}", people.by_path, READ),
    ("GET", "/api/{session}/lids", people.lids, READ),
    ("GET", "/api/{session}/lids/count", people.count_lids, READ),
    ("GET", "/api/{session}/lids/{lid}", people.number_of_lid, READ),
    ("GET", "/api/{session}/lids/pn/{phoneNumber}", people.lid_of_number, READ),
    ("GET", "/api/{session}/profile", people.profile, READ),
    ("PUT", "/api/{session}/profile/name", people.set_name, SEND),
    ("PUT", "/api/{session}/profile/status", people.set_status, SEND),
    ("PUT", "/api/{session}/profile/picture", people.set_picture, SEND),
    ("POST", "/api/{session}/presence", people.set_presence, SEND),
    ("GET", "/api/{session}/presence", people.presences, READ),
    ("GET", "/api/{session}/presence/{chatId}", people.presence, SEND),
    ("POST", "/api/{session}/presence/{chatId}/subscribe", people.follow_presence, SEND),
    ("PUT", "/api/star", people.star, SEND),
    ("POST", "/api/{session}/calls/reject", people.reject_call, SEND),
    ("GET", "/api/{session}/chats", messages.chats, READ),
    ("GET", "/api/{session}/chats/overview", messages.chats, READ),
    ("POST", "/api/{session}/chats/overview", messages.overview, READ),
    ("GET", "/api/{session}/chats/{chatId}/picture", groups.chat_picture, SEND),
    ("GET", "/api/{session}/chats/{chatId}/messages", messages.history, READ),
    ("POST", "/api/{session}/chats/{chatId}/messages/read", messages.read_chat, SEND),
    ("GET", "/api/{session}/chats/{chatId}/messages/{messageId}", messages.one, READ),
    ("PUT", "/api/{session}/chats/{chatId}/messages/{messageId}", messages.edit, SEND),
    ("DELETE", "/api/{session}/chats/{chatId}/messages/{messageId}", messages.revoke, SEND),
    ("GET", "/api/{session}/channels", channels.index, READ),
    ("POST", "/api/{session}/channels", channels.create, SEND),
    ("GET", "/api/{session}/channels/{id}", channels.read, SEND),
    ("POST", "/api/{session}/channels/{id}/follow", channels.follow, SEND),
    ("POST", "/api/{session}/channels/{id}/unfollow", channels.unfollow, SEND),
    ("POST", "/api/{session}/channels/{id}/mute", channels.mute, SEND),
    ("POST", "/api/{session}/channels/{id}/unmute", channels.unmute, SEND),
    ("POST", "/api/{session}/status/text", statuses.text, SEND),
    ("POST", "/api/{session}/status/image", statuses.image, SEND),
    ("POST", "/api/{session}/status/voice", statuses.voice, SEND),
    ("POST", "/api/{session}/status/video", statuses.video, SEND),
    ("POST", "/api/{session}/status/delete", statuses.delete, SEND),
    ("GET", "/api/{session}/groups", groups.index, READ),
    ("POST", "/api/{session}/groups", groups.create, SEND),
    ("GET", "/api/{session}/groups/count", groups.count, READ),
    ("POST", "/api/{session}/groups/refresh", groups.refresh, SEND),
    ("POST", "/api/{session}/groups/join", groups.join, SEND),
    ("GET", "/api/{session}/groups/join-info", groups.join_info, SEND),
    ("GET", "/api/{session}/groups/{id}", groups.read, READ),
    ("POST", "/api/{session}/groups/{id}/leave", groups.leave, SEND),
    ("GET", "/api/{session}/groups/{id}/picture", groups.group_picture, SEND),
    ("PUT", "/api/{session}/groups/{id}/picture", groups.set_picture, SEND),
    ("PUT", "/api/{session}/groups/{id}/description", groups.set_description, SEND),
    ("PUT", "/api/{session}/groups/{id}/subject", groups.set_subject, SEND),
    ("PUT", "/api/{session}/groups/{id}/settings/security/info-admin-only", groups.set_info_admin_only, SEND),
    ("GET", "/api/{session}/groups/{id}/settings/security/info-admin-only", groups.info_admin_only, READ),
    (
        "PUT",
        "/api/{session}/groups/{id}/settings/security/messages-admin-only",
        groups.set_messages_admin_only,
        SEND,
    ),
    ("GET", "/api/{session}/groups/{id}/settings/security/messages-admin-only", groups.messages_admin_only, READ),
    ("GET", "/api/{session}/groups/{id}/invite-code", groups.invite_code, SEND),
    ("POST", "/api/{session}/groups/{id}/invite-code/revoke", groups.revoke_invite_code, SEND),
    ("GET", "/api/{session}/groups/{id}/participants", groups.participants, READ),
    ("GET", "/api/{session}/groups/{id}/participants/v2", groups.participants_v2, READ),
    ("POST", "/api/{session}/groups/{id}/participants/add", groups.add, SEND),
    ("POST", "/api/{session}/groups/{id}/participants/remove", groups.remove, SEND),
    ("POST", "/api/{session}/groups/{id}/admin/promote", groups.promote, SEND),
    ("POST", "/api/{session}/groups/{id}/admin/demote", groups.demote, SEND),
]


def mount(app: web.Application, scopes: dict[tuple[str, str], Scope]) -> None:
    """Add the routes to ``app``, and their scopes to the table of its gate."""
    for method, path, handler, scope in ROUTES:
        app.router.add_route(method, PREFIX + path, handler)
        scopes[method, PREFIX + path] = scope
    for path, handler in ((WEBSOCKET, websocket.stream), (FILE, media)):
        app.router.add_route("GET", path, handler)
        scopes["GET", path] = READ
    # Last: what WAHA has and this service does not is never a silent 404.
    for path, known in (("/api/{rest:.*}", "/api/{rest}"), ("/mcp", "/mcp")):
        app.router.add_route("*", PREFIX + path, missing)
        scopes.update({(method, PREFIX + known): READ for method in hdrs.METH_ALL})


async def missing(request: web.Request) -> web.StreamResponse:
    why = not_here.reason(request.path.removeprefix(PREFIX)) or "docs/api-coverage.md lists those that are"
    detail = f"{request.method} {request.path} is no operation that is there: {why}"
    raise errors.Problem(501, "not_implemented", detail)


def _refusal(problem: errors.Problem) -> web.Response:
    """In the shape of WAHA: ``statusCode``, ``message``, ``error``."""
    reasons = "; ".join(f"{name}: {message}" for name, message in problem.fields.items())
    answer = {
        "statusCode": problem.status,
        "message": reasons or problem.detail,
        "error": HTTPStatus(problem.status).phrase,
        "code": problem.code,
    }
    return json_response(answer, status=problem.status, headers=problem.headers)


EDGE = Edge((f"{PREFIX}/",), _refusal, token=lambda request: request.query.get("x-api-key"))

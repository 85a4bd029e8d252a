"""The routes of messages, described."""

from __future__ import annotations

from bot_service.access.principals import Scope
from bot_service.api.messages import directory, handlers
from bot_service.api.messages.directory import (
    GroupPictureView,
    GroupsView,
    GroupView,
    InviteView,
    JoinedView,
    JoinRequestsView,
    MembersView,
    NumbersView,
)
from bot_service.api.messages.views import ChatPage, MessagePage, MessageView
from bot_service.api.server.route import LIMIT, TEXT, Parameter, Response, Route
from bot_service.domain.directory import Picture
from bot_service.messages.commands import LONGEST_SEARCH
from bot_service.messages.directory import (
    AnswerJoinRequests,
    ChangeGroup,
    ChangeMembers,
    CheckNumbers,
    JoinGroup,
    NewGroup,
)
from bot_service.messages.people import NewPicture
from bot_service.messages.requests import EditMessage, ForwardMessage, MarkRead, PostStatus, SendMessage, ShowTyping

ONE = "/api/sessions/{id}"

_EXAMPLE = {
    "id": "3EB0C767D26A1D8E7F",
    "session": "boutique",
    "chat": "33612345678@s.whatsapp.net",
    "direction": "out",
    "type": "text",
    "at": "2026-11-23T09:16:02.000Z",
    "state": "queued",
    "stateAt": "2026-11-23T09:16:02.000Z",
    "text": "Your order is ready.",
}

_KEY = Parameter(
    "Idempotency-Key",
    "Your own name for this message.",
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    location="header",
)
_QUEUED = {
    202: Response("Queued.", MessageView, example=_EXAMPLE),
    200: Response("The message that an earlier call with this key made.", MessageView),
}

_BEFORE = Parameter("before", "The `next` of the page before.", {"type": "integer", "minimum": 0})
_NARROWED = (
    Parameter("direction", "Only those.", {"type": "string", "enum": ["in", "out"]}),
    Parameter("state", "Only in this state.", TEXT),
    Parameter(
        "search",
        "Only with this in the text, the caption, the file name, or the name of a place, person or poll.",
        {"type": "string", "minLength": 1, "maxLength": LONGEST_SEARCH},
    ),
    _BEFORE,
    LIMIT,
)

ROUTES = [
    Route(
        "POST", f"{ONE}/messages", handlers.send, Scope.SEND,
        "Messages", "Send a message",
        "Queued and stored before the answer. The same Idempotency-Key sends nothing twice. A file comes as base64 in "
        "`media.data`, from the address `media.url`, or as the part `file` of a multipart form. 409 `sending_frozen` says why nothing may be sent now.",
        _QUEUED,
        body=SendMessage, example={"to": "33612345678", "text": "Your order is ready."},
        parameters=(_KEY,),
        problems=(409, 429, 502, 507),
    ),
    Route(
        "GET", f"{ONE}/messages", handlers.index, Scope.READ,
        "Messages", "List and search messages",
        "Newest first, in and out. A search looks at up to 50,000 messages for one page: the page may be short, or empty, "
        "and the last one only when `next` is null.",
        {200: Response("A page of messages.", MessagePage)},
        parameters=(Parameter("chat", "Only this chat: a JID or a number.", TEXT), *_NARROWED),
    ),
    Route(
        "GET", f"{ONE}/chats/{{chatId}}/messages", handlers.history, Scope.READ,
        "Messages", "Read the history of a chat", "What was received and sent since the session was made, newest first.",
        {200: Response("A page of messages.", MessagePage)},
        parameters=_NARROWED,
    ),
    Route(
        "GET", f"{ONE}/chats", handlers.chats, Scope.READ,
        "Messages", "List chats", "The chat with the newest message first, with that message and the number of unread ones.",
        {200: Response("A page of chats.", ChatPage)},
        parameters=(_BEFORE, LIMIT),
    ),
    Route(
        "GET", f"{ONE}/messages/{{messageId}}", handlers.read, Scope.READ,
        "Messages", "Get a message", "With the state it has now.",
        {200: Response("The message.", MessageView)},
    ),
    Route(
        "PUT", f"{ONE}/messages/{{messageId}}", handlers.edit, Scope.SEND,
        "Messages", "Edit a message",
        "The text of an own message, or the caption of its file, within 15 minutes. The edit is a message of its own "
        "(`type` `edit`, `edits`), queued behind earlier ones; the edited message stays as it is.",
        _QUEUED, body=EditMessage, example={"text": "Your order is ready since 9:00."},
        parameters=(_KEY,), problems=(409, 429),
    ),
    Route(
        "DELETE", f"{ONE}/messages/{{messageId}}", handlers.revoke, Scope.SEND,
        "Messages", "Revoke a message",
        "Deletes it on all phones, within 60 hours: an own message or, as an administrator of a group, any message of it. "
        "The revocation is a message of its own (`type` `revoke`, `revokes`).",
        _QUEUED, parameters=(_KEY,), problems=(409, 429),
    ),
    Route(
        "POST", f"{ONE}/messages/{{messageId}}/forward", handlers.forward, Scope.SEND,
        "Messages", "Forward a message", "Sends a copy, with its file and the mark of a forward.",
        _QUEUED, body=ForwardMessage, example={"to": "33612345678"}, parameters=(_KEY,), problems=(409, 429, 507),
    ),
    Route(
        "GET", f"{ONE}/messages/{{messageId}}/media", handlers.media, Scope.READ,
        "Messages", "Fetch a message's file", "As a download.",
        {200: Response("The file.", None, binary=("application/octet-stream",))},
    ),
    Route(
        "POST", f"{ONE}/status", handlers.post_status, Scope.SEND,
        "Messages", "Post a status",
        "A text, image, video or voice message that contacts see for 24 hours: those that the phone has shared with its "
        "devices, as far as the status privacy set on the phone lets them. It is a message in the chat `status@broadcast`, "
        "queued like others; `DELETE …/messages/{messageId}` takes it back.",
        _QUEUED, body=PostStatus, example={"text": "Open until 8 today.", "backgroundColor": "#38b42f", "font": 0},
        parameters=(_KEY,), problems=(409, 429, 502, 507),
    ),
    Route(
        "POST", f"{ONE}/read", handlers.mark_read, Scope.SEND,
        "Messages", "Mark messages as read", "The other side sees the blue ticks.",
        {204: Response("Done.")}, body=MarkRead, problems=(409, 502, 504),
        example={"chat": "33612345678", "messageIds": ["3EB0C767D26A1D8E7F"]},
    ),
    Route(
        "POST", f"{ONE}/typing", handlers.show_typing, Scope.SEND,
        "Messages", "Show typing", "Until `paused`, or for a few seconds.",
        {204: Response("Done.")}, body=ShowTyping, problems=(409, 502, 504),
        example={"chat": "33612345678", "state": "composing"},
    ),
    Route(
        "POST", f"{ONE}/numbers", directory.check_numbers, Scope.SEND,
        "Contacts", "Check whether numbers have an account",
        "At most 50 at once. WhatsApp limits accounts that ask for many numbers.",
        {200: Response("In the order asked for.", NumbersView)}, body=CheckNumbers, problems=(409, 502, 504),
        example={"numbers": ["33612345678"]},
    ),
    Route(
        "GET", f"{ONE}/picture", directory.picture, Scope.SEND,
        "Contacts", "Find the picture of a person or a group", "404 without one, or when it may not be seen.",
        {200: Response("Where to fetch it.", Picture)},
        parameters=(
            Parameter("chat", "A JID or a number.", TEXT),
            Parameter("preview", "The small picture.", {"type": "boolean", "default": False}),
        ),
        problems=(409, 422, 502, 504),
    ),
    Route(
        "GET", f"{ONE}/groups", directory.groups, Scope.READ,
        "Groups", "List groups", "Those that the account belongs to, asked from WhatsApp.",
        {200: Response("All groups.", GroupsView)}, problems=(409, 502, 504),
    ),
    Route(
        "POST", f"{ONE}/groups", directory.create_group, Scope.SEND,
        "Groups", "Create a group", "The account becomes its administrator.",
        {201: Response("The group.", GroupView)}, body=NewGroup, problems=(409, 502, 504),
        example={"subject": "Orders", "members": ["33612345678"]},
    ),
    Route(
        "GET", f"{ONE}/groups/{{groupId}}", directory.group, Scope.READ,
        "Groups", "Get a group", "Its settings and members.",
        {200: Response("The group.", GroupView)}, problems=(409, 422, 502, 504),
    ),
    Route(
        "PATCH", f"{ONE}/groups/{{groupId}}", directory.change_group, Scope.SEND,
        "Groups", "Change a group", "Subject, description, who may write and who may change it.",
        {200: Response("The group.", GroupView)}, body=ChangeGroup, problems=(409, 502, 504),
        example={"subject": "Orders 2027", "announce": True},
    ),
    Route(
        "DELETE", f"{ONE}/groups/{{groupId}}", directory.leave_group, Scope.SEND,
        "Groups", "Leave a group", "The group stays for the others.",
        {204: Response("Done.")}, problems=(409, 422, 502, 504),
    ),
    Route(
        "POST", f"{ONE}/groups/{{groupId}}/members", directory.change_members, Scope.SEND,
        "Groups", "Add, remove, promote or demote members", "An administrator's right. `error` names what was refused.",
        {200: Response("The members that were asked for.", MembersView)}, body=ChangeMembers, problems=(409, 502, 504),
        example={"action": "add", "members": ["33612345678"]},
    ),
    Route(
        "GET", f"{ONE}/groups/{{groupId}}/invite", directory.invite_link, Scope.SEND,
        "Groups", "Get the invitation link", "Whoever has it can join.",
        {200: Response("The link.", InviteView)}, problems=(409, 422, 502, 504),
    ),
    Route(
        "DELETE", f"{ONE}/groups/{{groupId}}/invite", directory.reset_invite_link, Scope.SEND,
        "Groups", "Reset the invitation link", "The old link is invalid from now on.",
        {200: Response("The new link.", InviteView)}, problems=(409, 422, 502, 504),
    ),
    Route(
        "GET", f"{ONE}/groups/{{groupId}}/requests", directory.join_requests, Scope.SEND,
        "Groups", "List requests to join", "For groups in which administrators approve new members.",
        {200: Response("Who asks.", JoinRequestsView)}, problems=(409, 422, 502, 504),
    ),
    Route(
        "POST", f"{ONE}/groups/{{groupId}}/requests", directory.answer_join_requests, Scope.SEND,
        "Groups", "Answer requests to join",
        "The library of the present engine has no call for it: 409 `unsupported_by_engine`. Answer on the phone, or add the "
        "person as a member.",
        {200: Response("The members that were asked for.", MembersView)}, body=AnswerJoinRequests, problems=(409, 502, 504),
        example={"action": "approve", "members": ["33612345678"]},
    ),
    Route(
        "PUT", f"{ONE}/groups/{{groupId}}/picture", directory.set_group_picture, Scope.SEND,
        "Groups", "Set the picture of a group", "A JPEG of at most 1 MB. An administrator's right, unless all may change the group.",
        {200: Response("The id of the picture.", GroupPictureView)}, body=NewPicture, problems=(409, 502, 504),
        example={"data": "/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="},
    ),
    Route(
        "GET", f"{ONE}/invitations/{{code}}", directory.invited_group, Scope.SEND,
        "Groups", "Get the group of an invitation", "Before it is joined, by the code at the end of the link.",
        {200: Response("The group.", GroupView)}, problems=(409, 422, 502, 504),
    ),
    Route(
        "POST", f"{ONE}/groups/join", directory.join_group, Scope.SEND,
        "Groups", "Join a group", "With an invitation link.",
        {200: Response("The group.", JoinedView)}, body=JoinGroup, problems=(409, 502, 504),
        example={"code": "https://chat.whatsapp.com/AbCdEf"},
    ),
]  # fmt: skip

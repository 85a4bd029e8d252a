"""What is posted to webhooks, type by type: schemas, and an example of each.

Nothing here renders an event: tests hold the events of a running service against these types.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bot_service.api.messages.directory import GroupView
from bot_service.api.messages.views import FileView
from bot_service.api.server.openapi import WebhookCalls, WebhookEvent
from bot_service.api.webhooks import event_examples
from bot_service.domain.directory import MemberAction
from bot_service.domain.message import InboundMessage, OutgoingMessage
from bot_service.domain.states import Actor, State, Wanted
from bot_service.events.dialects import TEST_EVENT
from bot_service.events.subscriptions import EVENT_TYPES


class ReceivedMessage(InboundMessage, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A message that arrived. What a message does not have is left out.

    ``chat`` is where to answer; ``sender`` wrote it. ``at``, and ``atMs`` since the epoch, are the
    sender's time. An answer ``{"reply": "…"}`` to this event goes back to the chat.
    """

    at: str
    media: FileView | None = None  # type: ignore[assignment]


class SentMessage(OutgoingMessage, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What was sent. What a message does not have is left out."""

    media: FileView | None = None  # type: ignore[assignment]


class MessageStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The new state of a message that was sent. ``message`` comes with ``sent``, ``error`` with ``failed``."""

    id: str
    session: str
    chat: str
    state: Literal["sent", "delivered", "read", "failed"]
    at: str
    message: SentMessage | None = None
    error: str | None = None


class ReceivedCall(msgspec.Struct, frozen=True, rename="camel"):
    """Somebody calls. ``group`` is the group of a group call."""

    id: str
    session: str
    caller: str = msgspec.field(name="from")
    video: bool
    group: str | None
    at: str


class GroupJoined(msgspec.Struct, frozen=True, rename="camel"):
    """The account belongs to ``group`` from now on. ``by`` did it; ``info`` is null where WhatsApp does not show the group."""

    session: str
    group: str
    by: str | None
    at: str
    info: GroupView | None


class GroupLeft(msgspec.Struct, frozen=True, rename="camel"):
    """The account is out of ``group``. ``by``: who removed it, or the account itself."""

    session: str
    group: str
    by: str | None
    at: str


class GroupMembersChanged(msgspec.Struct, frozen=True, rename="camel"):
    """``by`` changed ``members`` of ``group``."""

    session: str
    group: str
    by: str | None
    action: MemberAction
    members: list[str]
    at: str


class GroupUpdated(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is not there did not change. ``announce``: only administrators write; ``locked``: only they change the group."""

    session: str
    group: str
    by: str | None
    at: str
    subject: str | None = None
    description: str | None = None
    announce: bool | None = None
    locked: bool | None = None


class PresenceUpdate(msgspec.Struct, frozen=True, rename="camel"):
    """What a person does in ``chat``. ``lastSeen`` is what WhatsApp says, often nothing."""

    session: str
    chat: str
    person: str = msgspec.field(name="from")
    state: Literal["available", "unavailable", "composing", "recording", "paused"]
    last_seen: str | None
    at: str


class SessionState(msgspec.Struct, frozen=True, rename="camel"):
    """The state of a session. ``acts``: who must act before it can go on; ``detail``: what the engine said."""

    session: str
    name: str
    state: State
    previous: State
    wanted: Wanted | None
    reason: str
    detail: str | None
    acts: Actor
    since: str


class SessionAttention(SessionState, frozen=True, rename="camel", kw_only=True):
    """``attention`` is the reason why a person has to look at it."""

    attention: str


class SessionCode(msgspec.Struct, frozen=True, rename="camel"):
    """A new code is there: ``GET /api/sessions/{id}/qr``. The event does not hold the code itself."""

    kind: Literal["qr", "pairing_code"]
    expires_at: str


class SessionDeleted(msgspec.Struct, frozen=True, rename="camel"):
    """A session that is gone, with its messages and files."""

    session: str
    name: str


class SessionInNeed(msgspec.Struct, frozen=True, rename="camel"):
    """One session that a notice is about. ``link`` is its page on the dashboard."""

    session: str
    name: str
    need: str
    link: str


class ServiceNotice(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The beginning or the end of a problem. ``kind`` is stable and meant for programs, ``text`` for people.

    A notice about sessions that need a person has ``title``, ``count``, ``needs`` (how many sessions by
    need) and the first ``sessions``; others have ``since``.
    """

    kind: str
    text: str
    since: str | None = None
    session: str | None = None
    title: str | None = None
    severity: Literal["warning", "critical"] | None = None
    count: int | None = None
    needs: dict[str, int] | None = None
    sessions: list[SessionInNeed] | None = None


class TestCall(msgspec.Struct, frozen=True, rename="camel"):
    """A call at the request of a person, which no webhook subscribes to."""

    webhook: str


_DATA: dict[str, Any] = {
    "message": ReceivedMessage,
    "message.status": MessageStatus,
    "call.received": ReceivedCall,
    "group.joined": GroupJoined,
    "group.left": GroupLeft,
    "group.members": GroupMembersChanged,
    "group.updated": GroupUpdated,
    "presence.update": PresenceUpdate,
    "session.state": SessionState,
    "session.qr": SessionCode,
    "session.attention": SessionAttention,
    "session.deleted": SessionDeleted,
    "service.alert": ServiceNotice,
    "service.recovered": ServiceNotice,
    TEST_EVENT: TestCall,
}


def _event(type_: str, description: str) -> WebhookEvent:
    name = "".join(part.capitalize() for part in type_.split(".")) + "Event"
    fields: list[tuple[str, Any]] = [
        ("id", str),
        ("type", Literal.__getitem__(type_)),
        ("timestamp", str),
        ("session", str | None),
        ("data", _DATA[type_]),
    ]
    about = {"__doc__": "``id`` is the same at every try; ``session`` is null where none is concerned."}
    body = msgspec.defstruct(name, fields, frozen=True, namespace=about)
    return WebhookEvent(type_, description, body, event_examples.of(type_))


WEBHOOK_CALLS = WebhookCalls(
    "Standard Webhooks: check the signature before anything else, and use `webhook-id` to know what came twice. "
    "Events of one session come in order. Ignore members that you do not know.",
    {
        "webhook-id": "The event's id, the same at every try.",
        "webhook-timestamp": "Of this try, in seconds since the epoch.",
        "webhook-signature": "`v1,` and the signature of id, timestamp and body by the webhook's secret. After a rotation of "
        "the secret there are two for a while, with a space between them.",
    },
    [_event(type_, f"Event {type_}: {about}") for type_, about in EVENT_TYPES.items()]
    + [_event(TEST_EVENT, f"Event {TEST_EVENT}: a person tests the webhook")],
)

"""The webhooks in a session's configuration, as WAHA has them, over the webhooks of this service."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bot_service.dialects.waha import events
from bot_service.domain.refused import Refused, invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.events.dialects import DialectBody, Envelope
from bot_service.store.deliveries import Webhook
from bot_service.webhooks.commands import DialectWebhook, WebhookCommands
from bot_service.webhooks.custom_headers import HIDDEN, HeaderName, HeaderValue, refuse_own
from shared.clock import to_ms

NAME = "waha"
# What answers show instead of a secret; given back, it keeps the secret.
# Those of the connection, and those that this service sets.
_ENCODE = msgspec.json.Encoder().encode


class Hmac(msgspec.Struct):
    key: Annotated[str, Meta(max_length=1000)] | None = None


class Retries(msgspec.Struct):
    delaySeconds: Annotated[float, Meta(ge=0)] | None = None
    attempts: Annotated[int, Meta(ge=0)] | None = None
    policy: Literal["linear", "exponential", "constant"] | None = None


class Header(msgspec.Struct):
    name: HeaderName
    value: HeaderValue


class Ignore(msgspec.Struct, omit_defaults=True):
    """Chats of which the webhooks of the session hear nothing."""

    status: bool | None = None
    groups: bool | None = None
    channels: bool | None = None
    broadcast: bool | None = None

    def covers(self, chat: str) -> bool:
        """``chat`` as WAHA writes it."""
        _, _, server = chat.partition("@")
        if chat == "status@broadcast":
            return bool(self.status)
        return bool({"g.us": self.groups, "newsletter": self.channels, "broadcast": self.broadcast}.get(server))


class Hook(msgspec.Struct):
    """One of ``config.webhooks``. What it cannot be is named by :func:`wanted`."""

    url: str
    events: Annotated[list[str], Meta(min_length=1, max_length=50)]
    hmac: Hmac | None = None
    retries: Retries | None = None
    customHeaders: Annotated[list[Header], Meta(max_length=20)] | None = None


class _Options(msgspec.Struct, omit_defaults=True):
    """What the store keeps of a hook, beside its address."""

    events: list[str]
    hmac_key: str | None = None
    retries: Retries | None = None
    headers: list[Header] = []
    ignore: Ignore = msgspec.field(default_factory=Ignore)


def wanted(
    commands: WebhookCommands, hooks: Sequence[Hook], ignore: Ignore | None, known: Sequence[Webhook] = ()
) -> list[DialectWebhook]:
    """The webhooks of this service for ``hooks``; ``known`` are those that the session has.

    Refused: ``invalid``, with the name of the field.
    """
    before = {each.url: _options(each) for each in known if each.dialect == NAME}
    found: list[DialectWebhook] = []
    for number, hook in enumerate(hooks):
        where = f"config.webhooks[{number}]"
        if hook.url in {each.url for each in found}:
            raise invalid(f"{where}.url", "must differ from those before it")
        options = _Options(
            hook.events,
            _key(hook, before.get(hook.url), where),
            hook.retries,
            _headers(hook, before.get(hook.url), where),
            ignore or Ignore(),
        )
        made = DialectWebhook(hook.url, _sources(hook.events, where), _ENCODE(options))
        try:
            commands.check(made.url, made.events)
        except Refused as refused:
            raise invalid(f"{where}.{refused.field}", refused.detail) from None
        found.append(made)
    return found


def _sources(wanted_events: Sequence[str], where: str) -> tuple[str, ...]:
    unknown = events.unknown(wanted_events)
    if unknown is not None:
        raise invalid(f"{where}.events", unknown)
    names = events.SOURCES if "*" in wanted_events else [name for name in wanted_events if name in events.SOURCES]
    # A webhook without any event is possible: those that it names never come here.
    return tuple(sorted({source for name in names for source in events.SOURCES[name]})) or ("session.state",)


def _key(hook: Hook, before: _Options | None, where: str) -> str | None:
    key = hook.hmac.key if hook.hmac is not None else None
    if key == HIDDEN:
        if before is None or before.hmac_key is None:
            raise invalid(f"{where}.hmac.key", f"{HIDDEN} keeps a key, and this webhook has none")
        return before.hmac_key
    return key or None


def _headers(hook: Hook, before: _Options | None, where: str) -> list[Header]:
    kept = {each.name: each.value for each in before.headers} if before is not None else {}
    found = []
    for header in hook.customHeaders or ():
        refuse_own(header.name, f"{where}.customHeaders")
        found.append(Header(header.name, kept.get(header.name, HIDDEN) if header.value == HIDDEN else header.value))
    return found


def shown(webhooks: Sequence[Webhook]) -> list[dict[str, Any]]:
    """``config.webhooks`` of a session, without secrets."""
    return [_shown(webhook, _options(webhook)) for webhook in webhooks if webhook.dialect == NAME]


def _shown(webhook: Webhook, options: _Options) -> dict[str, Any]:
    found: dict[str, Any] = {"url": webhook.url, "events": options.events}
    if options.hmac_key is not None:
        found["hmac"] = {"key": HIDDEN}
    if options.retries is not None:
        given = msgspec.to_builtins(options.retries)
        found["retries"] = {name: value for name, value in given.items() if value is not None}
    if options.headers:
        found["customHeaders"] = [{"name": header.name, "value": HIDDEN} for header in options.headers]
    return found


def _options(webhook: Webhook) -> _Options:
    return msgspec.json.decode(webhook.options or b'{"events":["*"]}', type=_Options)


class WahaWebhooks:
    """Bodies, headers and addresses as WAHA's. ``find(session)`` is the session as it is now."""

    def __init__(self, find: Callable[[str], SessionRecord | None], base: str) -> None:
        self._find, self._base = find, base

    def bodies(self, webhook: Webhook, event: Envelope) -> list[DialectBody]:
        record, options = self._find(event.session or ""), _options(webhook)
        if record is None:
            return []
        return [
            DialectBody(name, _ENCODE(body))
            for name, body in events.envelopes(record, event, self._base)
            if events.is_wanted(name, options.events) and not options.ignore.covers(events.chat_of(body["payload"]))
        ]

    def url(self, webhook: Webhook, _event_type: str) -> str:
        return webhook.url

    def headers(self, webhook: Webhook, delivery: str, body: bytes, at: datetime) -> dict[str, str]:
        options = _options(webhook)
        found = {header.name: header.value for header in options.headers}
        found |= {"X-Webhook-Request-Id": delivery, "X-Webhook-Timestamp": str(to_ms(at))}
        if options.hmac_key is not None:
            found["X-Webhook-Hmac"] = hmac.digest(options.hmac_key.encode(), body, "sha512").hex()
            found["X-Webhook-Hmac-Algorithm"] = "sha512"
        return found

"""The use cases of webhooks: make, list, change, delete, test and rotate the secret."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from bot_service.access.principals import Principal
from bot_service.access.public_addresses import is_reachable_url, refusal_of_url
from bot_service.domain.inputs import Owner, StoredSessionId
from bot_service.domain.refused import invalid, not_found
from bot_service.domain.session_record import SessionRecord
from bot_service.events.subscriptions import Subscriptions, unknown_patterns
from bot_service.store import deliveries
from bot_service.store.database import Database
from bot_service.store.deliveries import Webhook as Webhook
from bot_service.webhooks.custom_headers import CustomHeaders, merged
from bot_service.webhooks.test_call import TestCallResult, WebhookTestCall
from shared import webhook_signing
from shared.clock import Clock, to_ms

Url = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s]+(?!\n)$",
        max_length=2000,
        description="an http:// or https:// address of at most 2000 characters",
    ),
]
EventPattern = Annotated[
    str,
    Meta(
        pattern=r"^[a-z.*]{1,40}(?!\n)$",
        description="a type of event such as message or session.state, or a beginning with .*",
    ),
]
EventPatterns = Annotated[list[EventPattern], Meta(min_length=1, max_length=20)]


OVERLAP_MS, LONGEST_OVERLAP_MS = 86_400_000, 7 * 86_400_000


class CreateWebhook(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``events`` are names or patterns (``session.*``, ``*``). Without ``session`` it hears of all
    sessions of its owner; made by an administrator without ``owner``, of all sessions there are."""

    url: Url
    events: EventPatterns = msgspec.field(default_factory=lambda: ["*"])
    session: StoredSessionId | None = None
    owner: Owner | None = None
    secret: Annotated[str, Meta(max_length=200)] | None = None
    active: bool = True
    headers: CustomHeaders = {}


class ChangeWebhook(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is not given stays. ``session`` null hears of all sessions of the owner.

    ``headers`` replace those of before; the value ``***`` keeps the one that is there.
    """

    url: Url | None = None
    events: EventPatterns | None = None
    active: bool | None = None
    session: StoredSessionId | msgspec.UnsetType | None = msgspec.UNSET
    headers: CustomHeaders | None = None


class RotateSecret(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``overlap``: how long the old secret signs too, in milliseconds; 0 ends it at once."""

    overlap: Annotated[int, Meta(ge=0, le=LONGEST_OVERLAP_MS)] = OVERLAP_MS


@dataclass(frozen=True, slots=True)
class DialectWebhook:
    """A webhook that the face of another API makes. ``events`` are types or patterns of this API.

    ``options`` is JSON that the dialect reads.
    """

    url: str
    events: tuple[str, ...]
    options: bytes
    active: bool = True


class WebhookCommands:
    """A caller sees and changes the webhooks of its owner; an administrator all.

    ``find_session(who, id)`` raises :class:`Refused` when ``who`` does not see that session.
    """

    def __init__(
        self,
        clock: Clock,
        database: Database,
        subscriptions: Subscriptions,
        test_call: WebhookTestCall,
        *,
        find_session: Callable[[Principal, str], SessionRecord],
        allow_private: bool,
    ) -> None:
        self._clock, self._database, self._subscriptions = clock, database, subscriptions
        self._test_call, self._find_session, self._allow_private = test_call, find_session, allow_private

    def visible(self, who: Principal, session: str | None = None) -> list[Webhook]:
        """The webhooks that ``who`` sees, or those of one ``session``, as stored or as ``who`` knows it."""
        return [
            webhook
            for webhook in self._subscriptions.all()
            if who.sees(webhook.owner)
            and (session is None or session in (webhook.session, who.known_id(webhook.session or "")))
        ]

    def get(self, who: Principal, webhook_id: str) -> Webhook:
        """Refused: ``not_found``, also for one of another owner."""
        webhook = self._subscriptions.get(webhook_id)
        if webhook is None or not who.sees(webhook.owner):
            raise not_found("this webhook")
        return webhook

    async def create(self, who: Principal, wanted: CreateWebhook) -> Webhook:
        """Refused: ``forbidden``, ``not_found``, ``invalid``."""
        session = owner = None
        if wanted.session is not None:
            record = self._find_session(who, wanted.session)
            session, owner = record.id, record.owner
        else:
            who.require_owner(wanted.owner, "makes webhooks for another owner")
            owner = who.owner or wanted.owner
        self.check(wanted.url, wanted.events)
        secret = wanted.secret or webhook_signing.new_secret()
        try:
            webhook_signing.key_of(secret)
        except ValueError as error:
            raise invalid("secret", f"{error}: whsec_ and base64") from None
        new = self._new(owner, session, wanted.url, secret)
        headers = merged(wanted.headers, {}, "headers")
        webhook = dataclasses.replace(new, events=tuple(wanted.events), active=wanted.active, headers=headers)
        await self._save([webhook])
        return webhook

    async def set_dialect(
        self, who: Principal, session: str, dialect: str, wanted: Sequence[DialectWebhook]
    ) -> list[Webhook]:
        """Make ``wanted`` the webhooks that ``session`` has in ``dialect``, all in one transaction.

        One with a known address stays the same webhook, with what waits for it; other webhooks of
        the session stay as they are. Refused: ``not_found``, ``invalid``.
        """
        record, now_ms = self._find_session(who, who.known_id(session)), to_ms(self._clock.now())
        for each in wanted:
            self.check(each.url, each.events)
        known = {each.url: each for each in self.visible(who, session) if each.dialect == dialect}
        kept = {each.url for each in wanted}
        saved = [
            dataclasses.replace(
                known.get(each.url) or self._new(record.owner, record.id, each.url, webhook_signing.new_secret()),
                events=each.events,
                active=each.active,
                updated_ms=now_ms,
                dialect=dialect,
                options=each.options,
            )
            for each in wanted
        ]
        await self._save(saved, without=[each.id for url, each in known.items() if url not in kept])
        return saved

    async def change(self, who: Principal, webhook_id: str, wanted: ChangeWebhook) -> Webhook:
        """What is not given stays. Refused: ``not_found``, ``invalid``."""
        webhook = self.get(who, webhook_id)
        changed = dataclasses.replace(
            webhook,
            url=webhook.url if wanted.url is None else wanted.url,
            events=webhook.events if wanted.events is None else tuple(wanted.events),
            active=webhook.active if wanted.active is None else wanted.active,
            headers=webhook.headers if wanted.headers is None else merged(wanted.headers, webhook.headers, "headers"),
            updated_ms=to_ms(self._clock.now()),
        )
        if isinstance(wanted.session, str):
            record = self._find_session(who, wanted.session)
            changed = dataclasses.replace(changed, session=record.id, owner=record.owner)
        elif wanted.session is None:
            changed = dataclasses.replace(changed, session=None)
        self.check(changed.url, changed.events)
        await self._save([changed])
        return changed

    async def delete(self, who: Principal, webhook_id: str) -> None:
        """Drops what is still to be delivered to it. Refused: ``not_found``."""
        await self._save([], without=[self.get(who, webhook_id).id])

    async def test(self, who: Principal, webhook_id: str) -> TestCallResult:
        """One call now, whether the webhook is active or not. Refused: ``not_found``."""
        return await self._test_call.run(self.get(who, webhook_id))

    async def rotate_secret(self, who: Principal, webhook_id: str, wanted: RotateSecret) -> Webhook:
        """A new signing secret, in force at once; the old one signs too for a while. Refused: ``not_found``."""
        webhook, now_ms = self.get(who, webhook_id), to_ms(self._clock.now())
        changed = dataclasses.replace(
            webhook,
            secret=webhook_signing.new_secret(),
            old_secret=webhook.secret if wanted.overlap else None,
            old_secret_until_ms=now_ms + wanted.overlap if wanted.overlap else None,
            updated_ms=now_ms,
        )
        await self._save([changed])
        return changed

    def check(self, url: str, patterns: Sequence[str]) -> None:
        """Refused: ``invalid`` when no webhook can have this address or these events."""
        unknown = unknown_patterns(patterns)
        if unknown:
            raise invalid("events", f"no event is called {unknown[0]}")
        if not is_reachable_url(url):
            raise invalid("url", "must be a whole http or https address")
        why = None if self._allow_private else refusal_of_url(url)
        if why is not None:
            raise invalid("url", f"{why}; WEBHOOK_ALLOW_PRIVATE=true allows it")

    def _new(self, owner: str | None, session: str | None, url: str, secret: str) -> Webhook:
        now_ms = to_ms(self._clock.now())
        return Webhook(f"wh-{secrets.token_hex(8)}", owner, session, url, secret, ("*",), True, now_ms, now_ms)

    async def _save(self, webhooks: Sequence[Webhook], *, without: Sequence[str] = ()) -> None:
        """Store ``webhooks``, and delete those named ``without`` with all their deliveries."""
        async with self._database.write() as connection:
            for webhook in webhooks:
                await deliveries.save_webhook(connection, webhook)
            for webhook_id in without:
                await deliveries.delete_webhook(connection, webhook_id)
        for webhook in webhooks:
            self._subscriptions.put(webhook)
        for webhook_id in without:
            self._subscriptions.remove(webhook_id)

"""Builds the parts that deliver events to webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from bot_service.access import public_addresses
from bot_service.access.principals import Principal
from bot_service.domain.session_record import SessionRecord
from bot_service.events.build import Events
from bot_service.events.subscriptions import Target
from bot_service.messages.outbox import Outbox
from bot_service.sessions.lanes import Lanes
from bot_service.settings import BotSettings
from bot_service.store.database import Database
from bot_service.webhooks import call
from bot_service.webhooks.call import Attempt
from bot_service.webhooks.commands import WebhookCommands
from bot_service.webhooks.deliveries import DeliveryCommands
from bot_service.webhooks.dispatcher import WebhookDispatcher
from bot_service.webhooks.health import WebhookHealth
from bot_service.webhooks.policy import WebhookPolicy
from bot_service.webhooks.results import WebhookResults
from bot_service.webhooks.test_call import WebhookTestCall
from shared import http_client
from shared.clock import Clock
from shared.name_resolver import NameResolver
from shared.service_clock import other_time
from shared.tasks import Loop
from shared.webhook_signing import REFUSALS


@dataclass(frozen=True, slots=True)
class Webhooks:
    """``commands``, ``deliveries`` and ``health`` are use cases; ``dispatcher`` sends, ``results`` stores.

    ``call`` sends one event once.
    """

    call: Callable[[Target, str, bytes], Awaitable[Attempt]]

    commands: WebhookCommands
    deliveries: DeliveryCommands
    health: WebhookHealth
    dispatcher: WebhookDispatcher
    results: WebhookResults

    def loops(self) -> Iterator[Loop]:
        """The background loops by name."""
        yield "webhooks", self.dispatcher.run
        yield "webhook-results", self.results.writer.run


@asynccontextmanager
async def build(
    settings: BotSettings,
    clock: Clock,
    database: Database,
    events: Events,
    outbox: Outbox,
    *,
    find_session: Callable[[Principal, str], SessionRecord],
    attempted: Callable[[str], None],
    lanes: Lanes,
) -> AsyncIterator[Webhooks]:
    """The parts, with HTTP clients that end with the block. ``attempted`` gets each result."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with AsyncExitStack() as stack:
        resolver = NameResolver(keep_s=10.0)
        stack.push_async_callback(resolver.close)
        guarded = public_addresses.connector(allow_private=settings.webhook_allow_private, limit=0, resolver=resolver)
        trusted = public_addresses.connector(allow_private=True, limit=0, resolver=resolver)
        http = await stack.enter_async_context(http_client.session(guarded, timeout=timeout))
        trusted_http = await stack.enter_async_context(http_client.session(trusted, timeout=timeout))

        async def one_call(target: Target, event: str, body: bytes) -> Attempt:
            client = trusted_http if target.trusted else http
            timeout_s = settings.webhook_timeout_ms / 1000
            attempt = await call.attempt(client, target, event, body, now=clock.now(), timeout_s=timeout_s)
            # After a step of the wall clock either time may be right: the receiver decides.
            if attempt.status in REFUSALS and target.key is not None and (wall := other_time(clock)) is not None:
                attempt = await call.attempt(client, target, event, body, now=wall, timeout_s=timeout_s)
            return attempt

        results = WebhookResults(clock, database, outbox.reply)
        policy = WebhookPolicy(retry_for_ms=settings.webhook_retry_for_ms, concurrency=settings.webhook_concurrency)
        dispatcher = WebhookDispatcher(
            clock,
            database,
            events.subscriptions,
            policy,
            call=one_call,
            results=results,
            observe=attempted,
            lanes=lanes,
        )
        events.publisher.committed.subscribe(dispatcher.offer)
        commands = WebhookCommands(
            clock,
            database,
            events.subscriptions,
            WebhookTestCall(clock, events.ids, events.subscriptions, one_call),
            find_session=find_session,
            allow_private=settings.webhook_allow_private,
        )
        deliveries = DeliveryCommands(
            clock,
            database,
            events.subscriptions,
            retry=dispatcher.retry_asides,
            try_now=dispatcher.try_now,
            next_try_ms=dispatcher.next_try_ms,
        )
        health = WebhookHealth(database, is_down=dispatcher.is_down, next_try_ms=dispatcher.next_try_ms)
        yield Webhooks(one_call, commands, deliveries, health, dispatcher, results)

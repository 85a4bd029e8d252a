"""Builds the delivery of events to webhooks and holds its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from bot_service.events.build import Events
from bot_service.events.subscriptions import Target
from bot_service.messages.outbox import Outbox
from bot_service.settings import BotSettings
from bot_service.store.database import Database
from bot_service.webhooks import addresses, call
from bot_service.webhooks.call import Attempt
from bot_service.webhooks.dispatcher import WebhookDispatcher
from bot_service.webhooks.policy import WebhookPolicy
from bot_service.webhooks.results import WebhookResults
from bot_service.webhooks.test_call import WebhookTestCall
from shared.clock import Clock

Loop = tuple[str, Callable[[], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class Webhooks:
    """``dispatcher`` delivers at least once, in order per lane; ``test_call`` sends one call at a person's request."""

    dispatcher: WebhookDispatcher
    results: WebhookResults
    test_call: WebhookTestCall

    def loops(self) -> Iterator[Loop]:
        """The background loops by name."""
        yield "webhooks", self.dispatcher.run
        yield "webhook-results", self.results.run


@asynccontextmanager
async def build(
    settings: BotSettings,
    clock: Clock,
    database: Database,
    events: Events,
    outbox: Outbox,
    *,
    attempted: Callable[[str], None],
) -> AsyncIterator[Webhooks]:
    """The parts with their HTTP clients. ``attempted`` gets the result of each attempt."""
    timeout = aiohttp.ClientTimeout(total=None)
    guarded = addresses.connector(allow_private=settings.webhook_allow_private, limit=0)
    trusted = addresses.connector(allow_private=True, limit=0)
    async with (
        aiohttp.ClientSession(connector=guarded, timeout=timeout) as http,
        aiohttp.ClientSession(connector=trusted, timeout=timeout) as trusted_http,
    ):

        async def one_call(target: Target, event: str, body: bytes) -> Attempt:
            client = trusted_http if target.trusted else http
            timeout_s = settings.webhook_timeout_ms / 1000
            return await call.attempt(client, target, event, body, now=clock.now(), timeout_s=timeout_s)

        results = WebhookResults(clock, database, outbox.reply)
        policy = WebhookPolicy(retry_for_ms=settings.webhook_retry_for_ms, concurrency=settings.webhook_concurrency)
        dispatcher = WebhookDispatcher(
            clock, database, events.subscriptions, policy, call=one_call, results=results, observe=attempted
        )
        events.publisher.on_commit(dispatcher.offer)
        yield Webhooks(dispatcher, results, WebhookTestCall(clock, events.ids, one_call))

"""Builds the parts that move a session to another service and back."""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.events.build import Events
from bot_service.messages.build import Messages
from bot_service.sessions.build import Sessions
from bot_service.settings import BotSettings
from bot_service.store.database import Database
from bot_service.transfers.export import Exports
from bot_service.transfers.imports import Imports
from bot_service.webhooks.build import Webhooks


@dataclass(frozen=True, slots=True)
class Transfers:
    """The use cases of both ends."""

    exports: Exports
    imports: Imports


def build(
    settings: BotSettings,
    database: Database,
    sessions: Sessions,
    events: Events,
    messages: Messages,
    webhooks: Webhooks,
) -> Transfers:
    exports = Exports(
        sessions.supervisor,
        sessions.registry,
        sessions.store,
        sessions.pool,
        messages.sender,
        database,
        messages.media,
        events.subscriptions,
        engine=settings.engine,
        data_dir=settings.data_dir,
        shares_devices=settings.shares_devices,
    )
    imports = Imports(
        sessions.commands,
        sessions.supervisor,
        sessions.registry,
        sessions.store,
        sessions.pool,
        messages.sender,
        database,
        messages.media,
        events.ids,
        events.subscriptions,
        webhooks.commands,
        engine=settings.engine,
        data_dir=settings.data_dir,
        shares_devices=settings.shares_devices,
    )
    return Transfers(exports, imports)

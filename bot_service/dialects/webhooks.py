"""The dialects in which webhooks may get events, by the name that is stored with a webhook."""

from __future__ import annotations

from bot_service.dialects.evolution.webhooks import NAME as EVOLUTION
from bot_service.dialects.evolution.webhooks import EvolutionWebhooks
from bot_service.dialects.waha import paths
from bot_service.dialects.waha.webhooks import NAME as WAHA
from bot_service.dialects.waha.webhooks import WahaWebhooks
from bot_service.events.dialects import WebhookDialect
from bot_service.sessions.build import Sessions
from bot_service.sessions.pairing_codes import PairingCode
from bot_service.settings import BotSettings


def webhook_dialects(settings: BotSettings, sessions: Sessions) -> dict[str, WebhookDialect]:
    """All of them, also those with a face that DIALECTS turns off: stored webhooks go on."""
    find, supervisor = sessions.registry.get, sessions.supervisor

    def code(session: str) -> PairingCode | None:
        return supervisor.codes.valid(session, supervisor.now_ms())

    return {
        WAHA: WahaWebhooks(find, paths.base(settings)),
        EVOLUTION: EvolutionWebhooks(find, code, settings.reached_at or f"http://localhost:{settings.port}"),
    }

"""The newest messages of a session, in and out, for its page; texts are shown to whoever may read the session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.dashboard.view_models import moment
from bot_service.domain.session_record import SessionRecord
from bot_service.store import messages
from bot_service.store.messages import StoredMessage
from shared.web.ui.words import Words

LATEST = 15
LONGEST = 300


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    direction: str
    who: str
    text: str
    at: datetime | None
    state: str


class _Body(msgspec.Struct, rename="camel"):
    text: str | None = None
    push_name: str | None = None


async def latest(request: web.Request, record: SessionRecord, t: Words) -> list[Shown]:
    async with request.app[keys.DATABASE].read() as connection:
        found = await messages.page(connection, record.id, limit=LATEST)
    return [_shown(each, t) for each in found]


def _shown(message: StoredMessage, t: Words) -> Shown:
    body = msgspec.json.decode(message.body, type=_Body)
    chat = message.chat.partition("@")[0]
    out = message.direction == "out"
    who = t("to {name}", name=chat) if out else t("from {name}", name=body.push_name or chat)
    text = body.text if body.text else f"[{message.type}]"
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    return Shown(message.direction, who, text, moment(message.at_ms), t(message.state) if out else "")

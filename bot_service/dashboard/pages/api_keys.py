"""``GET /keys``: who may use the API and for what; keys are made here, shown once, and revoked. For administrators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from bot_service import keys
from bot_service.api.api_keys import handlers as api_keys
from bot_service.api.messages.schemas import CreateKey
from bot_service.api.sessions.schemas import DEFAULT_OWNER
from bot_service.dashboard import wording
from bot_service.dashboard.context import DESK, Form, done
from bot_service.dashboard.flash import Said
from bot_service.dashboard.login import Login
from bot_service.dashboard.page_context import base_context
from bot_service.dashboard.pages.sessions import Choice
from bot_service.dashboard.view_models import moment
from bot_service.store.api_keys import StoredKey
from shared.clock import to_ms
from shared.web import body, errors
from shared.web.ui.words import Words

DAY_MS = 86_400_000
LIFETIMES = (30, 90, 365)


@dataclass(frozen=True, slots=True)
class Row:
    """``usable`` keys can still be revoked."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    last_used: datetime | None
    created: datetime | None
    kind: str
    state: str
    usable: bool


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    t = request.app[DESK].pages.words(request)
    now_ms = to_ms(request.app[keys.CLOCK].now())
    listed = await request.app[keys.KEYRING].listed()
    return request.app[DESK].pages.render(
        request,
        "keys.html",
        **base_context(request, login),
        # What still opens something comes first, the newest of each kind on top.
        rows=sorted((_row(key, now_ms, t) for key in reversed(listed)), key=lambda row: not row.usable),
        scopes=[Choice(scope, t(about)) for scope, about in wording.SCOPE.items()],
        lifetimes=[Choice(str(days), t("{n} days", n=days)) for days in LIFETIMES],
        owner=DEFAULT_OWNER,
    )


def _row(key: StoredKey, now_ms: int, t: Words) -> Row:
    if key.revoked_ms is not None:
        kind, state = "idle", t("revoked")
    elif key.expires_ms is not None and key.expires_ms <= now_ms:
        kind, state = "idle", t("expired")
    elif (until := moment(key.expires_ms)) is not None:
        kind, state = "good", t("good until {day}", day=t.day(until))
    else:
        kind, state = "good", t("good")
    return Row(
        id=key.id,
        name=key.name,
        owner=key.owner,
        scopes=key.scopes,
        last_used=moment(key.last_used_ms),
        created=moment(key.created_ms),
        kind=kind,
        state=state,
        usable=kind == "good",
    )


async def create(request: web.Request, login: Login, form: Form) -> str:
    desk = request.app[DESK]
    t = desk.pages.words(request)
    given: dict[str, object] = {name: str(form.get(name, "")).strip() for name in ("name", "owner")}
    given["scopes"] = [str(scope) for scope in form.getall("scopes", [])]
    days = str(form.get("days", ""))
    if days:
        if days not in {str(each) for each in LIFETIMES}:
            raise errors.invalid("days", "must be one of those offered")
        given["expiresIn"] = int(days) * DAY_MS
    made = await api_keys.make(request.app, body.convert(given, CreateKey))
    text = t("The key {name} is made. It is shown now and never again.", name=made.key.name)
    return f"/keys?once={desk.once.keep(login, Said('good', text, made.token, t('Key')))}"


async def revoke(request: web.Request, _login: Login, _form: Form) -> str:
    if not await request.app[keys.KEYRING].revoke(request.match_info["keyId"]):
        raise errors.not_found("this key")
    return done("/keys", "key-revoked")

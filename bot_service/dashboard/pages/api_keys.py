"""``/keys``: API keys, made here, shown once, and revoked. For administrators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from bot_service import keys
from bot_service.access.keyring import CreateKey, StoredKey
from bot_service.dashboard import wording
from bot_service.dashboard.context import DASHBOARD, render, words
from bot_service.dashboard.flash import FlashMessage
from bot_service.dashboard.guard import Form, done
from bot_service.dashboard.login import Login
from bot_service.dashboard.view_models import Choice, moment
from bot_service.domain.inputs import DEFAULT_OWNER
from bot_service.domain.refused import invalid
from shared.clock import to_ms
from shared.web import body
from shared.web.ui.words import Words

DAY_MS = 86_400_000
LIFETIMES = (30, 90, 365)


@dataclass(frozen=True, slots=True)
class KeyRow:
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
    t, now_ms = words(request), to_ms(request.app[keys.CLOCK].now())
    listed = await request.app[keys.ACCESS].keyring.listed()
    return render(
        request,
        login,
        "keys.html",
        # Usable keys come first, the newest of each kind on top.
        rows=sorted((_row(key, now_ms, t) for key in reversed(listed)), key=lambda row: not row.usable),
        scopes=[Choice(scope, t(about)) for scope, about in wording.SCOPE.items()],
        lifetimes=[Choice(str(days), t("{n} days", n=days)) for days in LIFETIMES],
        owner=DEFAULT_OWNER,
    )


def _row(key: StoredKey, now_ms: int, t: Words) -> KeyRow:
    if key.revoked_ms is not None:
        kind, state = "idle", t("revoked")
    elif key.expires_ms is not None and key.expires_ms <= now_ms:
        kind, state = "idle", t("expired")
    elif (until := moment(key.expires_ms)) is not None:
        kind, state = "good", t("active until {day}", day=t.day(until))
    else:
        kind, state = "good", t("active")
    return KeyRow(
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
    t, given = words(request), _fields(form)
    made = await request.app[keys.ACCESS].keyring.make(body.convert(given, CreateKey))
    text = t("Key {name} created. Copy it now: it will not be shown again.", name=made.key.name)
    return request.app[DASHBOARD].flash.add(login, "/keys", FlashMessage("good", text, made.token, t("Key")))


def _fields(form: Form) -> dict[str, object]:
    given: dict[str, object] = {name: str(form.get(name, "")).strip() for name in ("name", "owner")}
    given["scopes"] = [str(scope) for scope in form.getall("scopes", [])]
    days = str(form.get("days", ""))
    if days:
        if days not in {str(each) for each in LIFETIMES}:
            raise invalid("days", "must be one of those offered")
        given["expiresIn"] = int(days) * DAY_MS
    return given


async def revoke(request: web.Request, _login: Login, _form: Form) -> str:
    await request.app[keys.ACCESS].keyring.revoke(request.match_info["keyId"])
    return done("/keys", "key-revoked")

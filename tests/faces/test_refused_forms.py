"""A form that is refused says why in the reader's language."""

from __future__ import annotations

import html

import pytest

from bot_service.dashboard.refusals import REFUSALS
from shared.web.ui.refusals import Refusals
from shared.web.ui.words import Words
from tests.faces.test_dashboard import HERE, Browser
from tests.support.bot_app import Bot
from tests.support.catalogues import TRANSLATED, words
from watchdog.status import refusals as status_refusals

SPANISH = {**HERE, "Accept-Language": "es"}
WEBHOOK = {"url": "https://shop.example/hook", "events": ["message"]}
KEY = {"name": "Shop", "owner": "main", "scopes": ["read"]}


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        ("/new", {"name": "A", "id": "!"}, "debe estar formado por letras, dígitos, - y _, 64 como máximo"),
        ("/new", {"name": "A\u202eb", "id": "a"}, "debe ser un texto visible en una línea"),
        ("/new", {"name": "A", "id": "one"}, "ya existe una sesión con este identificador"),
        ("/webhooks", {**WEBHOOK, "url": "ftp://shop.example"}, "debe ser una dirección http:// o https://"),
        ("/webhooks", {**WEBHOOK, "events": []}, "elija al menos uno"),
        ("/keys", {**KEY, "name": ""}, "debe tener al menos 1 carácter"),
        ("/keys", {**KEY, "days": "5"}, "debe ser una de las opciones ofrecidas"),
        ("/sessions/one/messages", {"to": "33612345678", "text": "Hola"}, "todavía no hay ningún teléfono vinculado"),
        ("/sessions/one/pairing-code", {"phone": "12"}, "debe ser un número de teléfono en formato internacional"),
    ],
)
async def test_the_reason_is_in_the_readers_language(
    bot: Bot, browser: Browser, path: str, fields: dict[str, str | list[str]], expected: str
) -> None:
    await browser.post("/new", name="One", id="one")
    await browser.get("/new")
    _, target = await browser.post(path, SPANISH, **fields)
    _, page = await browser.get(target, **SPANISH)
    assert expected in html.unescape(page)


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_reason_keeps_its_values_in_every_language(language: str) -> None:
    for refusals, folder in ((REFUSALS, "bot_service/dashboard"), (status_refusals.REFUSALS, "watchdog/status")):
        t = words(language.replace("_", "-"), folder)
        keep_their_values(refusals, t)
        assert refusals.words("not in the table: {odd}", t) == "not in the table: {odd}"


def keep_their_values(refusals: Refusals, t: Words) -> None:
    for text in refusals.texts:
        filled = text.format(n="17", name="X-Shop", address="10.0.0.7", state="READY")
        said = refusals.words(filled, t)
        assert said != filled, text
        for value in ("17", "X-Shop", "10.0.0.7", "READY"):
            assert (value in filled) == (value in said), text

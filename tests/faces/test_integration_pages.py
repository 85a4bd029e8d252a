"""The pages of webhooks and keys over the whole application: who may, what is shown once, and what is gone afterwards."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from tests.faces.test_dashboard import Browser
from tests.support.bot_app import Bot, running
from tests.support.receiver import Receiver

EVERY_SCOPE = ("read", "send", "session")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as started:
        yield started


def shown_once(page: str) -> str | None:
    found = re.search(r'id="once"[^>]*value="([^"]+)"', page)
    return found[1] if found else None


async def hooks(bot: Bot) -> list[dict[str, Any]]:
    return list((await bot.call("GET", "/api/webhooks"))[1]["webhooks"])


async def key_for(bot: Bot, owner: str, *scopes: str) -> str:
    _, made = await bot.call("POST", "/api/keys", {"name": owner, "owner": owner, "scopes": list(scopes)})
    return str(made["key"])


async def test_a_webhook_is_made_with_a_secret_that_is_shown_once_and_signs(
    bot: Bot, browser: Browser, receiver: Receiver
) -> None:
    every = re.findall(r'name="events" value="([^"]+)"', (await browser.get("/webhooks"))[1])
    assert {"message", "session.state", "service.alert"} <= set(every)
    status, target = await browser.post("/webhooks", url=f"{receiver.url}/hook", events=every)
    assert (status, target.partition("=")[0]) == (303, "/webhooks?once")
    _, page = await browser.get(target)
    secret = shown_once(page)
    assert secret is not None
    assert secret.startswith("whsec_")
    assert shown_once((await browser.get(target))[1]) is None
    [made] = await hooks(bot)
    assert (made["events"], made["session"], made["owner"]) == (["*"], None, None)

    status, target = await browser.post(f"/webhooks/{made['id']}/test", next="/webhooks")
    _, page = await browser.get(target)
    assert f"{receiver.url}/hook: test passed, answered 200 after" in page
    [got] = receiver.requests
    headers = {name.lower(): value for name, value in got.headers.items()}
    verified = Verifier(secret).verify(got.raw.decode(), headers)
    assert (verified["type"], verified["data"]) == ("webhook.test", {"webhook": made["id"]})


async def test_what_a_test_met_is_said_in_words_and_kept_nowhere(
    bot: Bot, browser: Browser, receiver: Receiver
) -> None:
    await browser.get("/webhooks")
    await browser.post("/webhooks", url=receiver.url, events=["message"])
    [made] = await hooks(bot)
    receiver.answer = lambda _got: (503, None, {})
    _, target = await browser.post(f"/webhooks/{made['id']}/test")
    assert "test failed, answered 503" in (await browser.get(target))[1]
    await receiver.stop()
    _, target = await browser.post(f"/webhooks/{made['id']}/test")
    assert "test failed, nothing listens there" in (await browser.get(target))[1]
    for state in ("dead", "pending", "delivered"):
        assert (await bot.call("GET", f"/api/deliveries?state={state}"))[1]["deliveries"] == []


async def test_the_api_tests_a_webhook_alike(bot: Bot, receiver: Receiver) -> None:
    _, made = await bot.call("POST", "/api/webhooks", {"url": receiver.url, "active": False})
    status, answer = await bot.call("POST", f"/api/webhooks/{made['id']}/test")
    assert (status, answer["delivered"], answer["status"], answer["error"]) == (200, True, 200, None)
    assert receiver.requests[0].headers["webhook-id"] == answer["event"]


async def test_a_webhook_of_one_session_is_listed_there_and_deleted(bot: Bot, browser: Browser) -> None:
    await bot.call("POST", "/api/sessions", {"id": "boutique", "start": False})
    assert 'value="boutique"' in (await browser.get("/webhooks?session=boutique"))[1]
    fields: dict[str, Any] = {
        "url": "https://shop.example.com/one",
        "session": "boutique",
        "events": ["message", "session.state"],
    }
    status, target = await browser.post("/webhooks", **fields)
    assert (status, target.partition("&")[0]) == (303, "/webhooks?session=boutique")
    await browser.post("/webhooks", url="https://shop.example.com/all", events=["message"])
    _, page = await browser.get("/webhooks?session=boutique")
    assert "shop.example.com/one" in page
    assert "shop.example.com/all" not in page
    made = next(hook for hook in await hooks(bot) if hook["session"])
    assert made["events"] == ["message", "session.state"]
    target = (await browser.post(f"/webhooks/{made['id']}/delete", session="boutique"))[1]
    assert target == "/webhooks?session=boutique&done=webhook-deleted"
    assert [hook["url"] for hook in await hooks(bot)] == ["https://shop.example.com/all"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"url": "ftp://shop.example.com", "events": ["message"]}, "wrong-url"),
        ({"url": "https://shop.example.com", "events": []}, "wrong-events"),
        ({"url": "https://shop.example.com", "events": ["no.such.event"]}, "no event is called no.such.event"),
        ({"url": "https://shop.example.com", "events": ["message"], "session": "missing"}, "Not found"),
    ],
)
async def test_a_webhook_that_cannot_be_used_is_refused_with_words(
    bot: Bot, browser: Browser, fields: dict[str, Any], reason: str
) -> None:
    await browser.get("/webhooks")
    assert reason in await browser.refused("/webhooks", next="/webhooks", **fields)
    assert await hooks(bot) == []


async def test_a_private_address_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as bot:
        browser = Browser(bot)
        await browser.sign_in()
        page = await browser.refused("/webhooks", url="http://127.0.0.1:1/", events=["message"], next="/webhooks")
        assert "WEBHOOK_ALLOW_PRIVATE=true allows it" in page


async def test_an_owner_sees_and_tests_only_what_is_theirs(bot: Bot, receiver: Receiver) -> None:
    _, other = await bot.call("POST", "/api/webhooks", {"url": receiver.url, "owner": "ann"})
    browser = Browser(bot)
    await browser.sign_in(await key_for(bot, "bob", *EVERY_SCOPE))
    status, page = await browser.get("/webhooks")
    assert (status, receiver.url in page, "service.alert" in page) == (200, False, False)
    for verb in ("test", "delete"):
        assert "Not found" in await browser.refused(f"/webhooks/{other['id']}/{verb}", next="/webhooks")
    assert receiver.requests == []
    assert len(await hooks(bot)) == 1


async def test_a_key_that_may_only_read_finds_no_form(bot: Bot) -> None:
    browser = Browser(bot)
    await browser.sign_in(await key_for(bot, "bob", "read"))
    _, page = await browser.get("/webhooks")
    assert 'name="url"' not in page
    page = await browser.refused("/webhooks", url="https://shop.example.com", events=["message"], next="/webhooks")
    assert "This key may not do that." in page


async def test_a_key_is_made_shown_once_works_and_is_revoked(bot: Bot, browser: Browser) -> None:
    await browser.get("/keys")
    status, target = await browser.post("/keys", name="Shop", owner="shop", scopes=["read", "send"], days="90")
    assert (status, target.partition("=")[0]) == (303, "/keys?once")
    _, page = await browser.get(target)
    token = shown_once(page)
    assert token is not None
    assert token not in (await browser.get(target))[1]
    assert (await bot.call("GET", "/api/sessions", key=token))[0] == 200
    [key] = (await bot.call("GET", "/api/keys"))[1]["keys"]
    assert (key["name"], key["owner"], key["scopes"]) == ("Shop", "shop", ["read", "send"])
    assert key["expiresAt"] is not None
    assert "active until" in (await browser.get("/keys"))[1]

    assert await browser.post(f"/keys/{key['id']}/revoke") == (303, "/keys?done=key-revoked")
    _, page = await browser.get("/keys")
    assert "revoked" in page
    assert f"revoke-{key['id']}" not in page
    assert (await bot.call("GET", "/api/sessions", key=token))[0] == 403


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "", "owner": "shop", "scopes": ["read"]},
        {"name": "Shop", "owner": "no owner", "scopes": ["read"]},
        {"name": "Shop", "owner": "shop", "scopes": []},
        {"name": "Shop", "owner": "shop", "scopes": ["root"]},
        {"name": "Shop", "owner": "shop", "scopes": ["read"], "days": "100000"},
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(bot: Bot, browser: Browser, fields: dict[str, Any]) -> None:
    await browser.get("/keys")
    assert 'class="wrong"' in (page := await browser.refused("/keys", next="/keys", **fields)), page
    assert (await bot.call("GET", "/api/keys"))[1]["keys"] == []


async def test_keys_are_for_administrators(bot: Bot) -> None:
    browser = Browser(bot)
    await browser.sign_in(await key_for(bot, "bob", *EVERY_SCOPE))
    status, page = await browser.get("/")
    assert (status, 'href="/keys"' in page) == (200, False)
    assert "This key may not do that." in (await browser.get("/keys"))[1]
    target = (await browser.post("/keys", name="More", owner="bob", scopes=["admin"], next="/keys"))[1]
    assert target.startswith("/keys?once=")
    assert len((await bot.call("GET", "/api/keys"))[1]["keys"]) == 1


@pytest.mark.parametrize(
    "path", ["/webhooks", "/keys", "/webhooks/wh-1/test", "/webhooks/wh-1/delete", "/keys/k/revoke"]
)
async def test_a_form_from_elsewhere_does_nothing(bot: Bot, browser: Browser, path: str) -> None:
    fields: dict[str, Any] = {
        "url": "https://evil.example",
        "events": ["*"],
        "name": "evil",
        "owner": "evil",
        "scopes": ["admin"],
    }
    for headers, token in (({"Sec-Fetch-Site": "cross-site"}, browser.token), ({"Sec-Fetch-Site": "same-origin"}, "x")):
        status, _ = await browser.post(path, sent_with=headers, **{**fields, "token": token})
        assert status == 403
    assert await hooks(bot) == []
    assert (await bot.call("GET", "/api/keys"))[1]["keys"] == []


async def test_a_secret_is_shown_to_nobody_but_the_login_that_made_it(bot: Bot, browser: Browser) -> None:
    await browser.get("/keys")
    _, target = await browser.post("/keys", name="Shop", owner="shop", scopes=["read"])
    other = Browser(bot)
    bot.client.session.cookie_jar.clear()
    await other.sign_in()
    assert shown_once((await other.get(target))[1]) is None

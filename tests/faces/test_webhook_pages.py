"""The pages of one webhook and of one delivery over the whole application: forms, health, filters, and hidden secrets."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from bot_service import keys
from bot_service.store import deliveries
from tests.faces.test_dashboard import Browser
from tests.support.bot_app import Bot
from tests.support.receiver import Receiver
from tests.support.waiting import eventually


async def made(bot: Bot, url: str, **fields: Any) -> dict[str, Any]:
    status, webhook = await bot.call("POST", "/api/webhooks", {"url": url, **fields})
    assert status == 201, webhook
    return dict(webhook)


async def webhook_of(bot: Bot, webhook: str) -> dict[str, Any]:
    return dict((await bot.call("GET", f"/api/webhooks/{webhook}"))[1])


async def event(bot: Bot, session: str) -> None:
    """A ``session.deleted`` event."""
    await bot.call("POST", "/api/sessions", {"id": session, "start": False})
    await bot.call("DELETE", f"/api/sessions/{session}")


async def page_with(browser: Browser, path: str, text: str) -> str:
    async def look() -> str:
        _, page = await browser.get(path)
        return page if text in page else ""

    return str(await eventually(look, what=f"{text} on {path}"))


def ticked(page: str) -> set[str]:
    return set(re.findall(r'name="events" value="([^"]+)" checked', page))


async def test_a_webhook_is_edited_and_what_was_not_touched_stays(bot: Bot, browser: Browser) -> None:
    await bot.call("POST", "/api/sessions", {"id": "one", "start": False})
    hook = await made(
        bot, "https://shop.example.com/a", events=["session.*"], headers={"Authorization": "Bearer s3cret"}
    )
    path = f"/webhooks/{hook['id']}"
    _, page = await browser.get(path)
    assert ticked(page) == {"session.state", "session.qr", "session.attention", "session.deleted"}
    assert "Authorization: ***" in page
    assert "Bearer s3cret" not in page
    assert "<option>one</option>" in page

    given: dict[str, Any] = {
        "events": sorted(ticked(page)),
        "headers": "Authorization: ***\r\nX-Shop: one\r\n",
        "session": "one",
    }
    assert await browser.post(path, url="https://shop.example.com/b", **given) == (303, f"{path}?done=webhook-changed")
    found = await webhook_of(bot, hook["id"])
    assert (found["url"], found["session"], found["events"]) == ("https://shop.example.com/b", "one", ["session.*"])
    assert found["headers"] == {"Authorization": "***", "X-Shop": "***"}
    stored = bot.app[keys.EVENTS].subscriptions.get(hook["id"])
    assert stored is not None
    assert stored.headers == {"Authorization": "Bearer s3cret", "X-Shop": "one"}

    await browser.post(path, url="https://shop.example.com/b", events=["message"], headers="", session="")
    found = await webhook_of(bot, hook["id"])
    assert (found["events"], found["session"], found["headers"]) == (["message"], None, {})


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"url": "ftp://shop.example.com"}, "url"),
        ({"events": []}, "events"),
        ({"headers": "no colon"}, "headers"),
        ({"headers": "Webhook-Id: 1"}, "headers"),
        ({"headers": "X-A: ***"}, "headers"),
        ({"session": "not an id"}, "session"),
    ],
)
async def test_a_refused_change_names_the_field_and_keeps_what_was_typed(
    bot: Bot, browser: Browser, fields: dict[str, Any], wrong: str
) -> None:
    hook = await made(bot, "https://shop.example.com/a")
    path = f"/webhooks/{hook['id']}"
    await browser.get(path)
    given = {"url": "https://shop.example.com/typed", "events": ["message"], "headers": "", "session": ""} | fields
    page = await browser.refused(path, next=path, **given)
    assert f'id="wrong-{wrong}"' in page
    assert (html.escape(given["url"]) in page, html.escape(given["headers"]) in page) == (True, True)
    assert (await webhook_of(bot, hook["id"]))["url"] == "https://shop.example.com/a"


async def test_a_webhook_is_paused_and_resumed(bot: Bot, browser: Browser) -> None:
    hook = await made(bot, "https://shop.example.com/a")
    path = f"/webhooks/{hook['id']}"
    _, page = await browser.get(path)
    assert (f'action="{path}/pause"' in page, f'action="{path}/resume"' in page) == (True, False)
    assert await browser.post(f"{path}/pause") == (303, f"{path}?done=webhook-paused")
    _, page = await browser.get(path)
    assert (f'action="{path}/pause"' in page, f'action="{path}/resume"' in page) == (False, True)
    assert (await webhook_of(bot, hook["id"]))["health"]["state"] == "paused"
    await browser.post(f"{path}/resume")
    assert (await webhook_of(bot, hook["id"]))["active"] is True


async def test_a_rotated_secret_is_shown_once_and_both_sign_in_the_overlap(
    bot: Bot, browser: Browser, receiver: Receiver
) -> None:
    hook = await made(bot, receiver.url)
    path = f"/webhooks/{hook['id']}"
    await browser.get(path)
    status, target = await browser.post(f"{path}/secret", overlap="1h")
    _, page = await browser.get(target)
    found = re.search(r'id="once"[^>]*value="(whsec_[^"]+)"', page)
    assert status == 303
    assert found is not None
    assert 'data-copy="once"' in page
    assert "The secret before the last rotation signs too, until" in page
    _, page = await browser.get(target)
    assert found[1] not in page
    assert hook["secret"] not in page
    await browser.post(f"{path}/test", next=path)
    (got,) = receiver.requests
    headers = {name.lower(): value for name, value in got.headers.items()}
    for secret in (hook["secret"], found[1]):
        assert Verifier(secret).verify(got.raw.decode(), headers)["type"] == "webhook.test"
    await browser.post(f"{path}/secret", overlap="")
    assert "signs too, until" not in (await browser.get(path))[1]


async def test_the_health_names_the_cause_what_waits_and_the_next_try(
    bot: Bot, browser: Browser, receiver: Receiver
) -> None:
    receiver.answer = lambda _got: (503, {}, {})
    hook = await made(bot, receiver.url)
    path = f"/webhooks/{hook['id']}"
    assert "not called yet" in (await browser.get(path))[1]
    await event(bot, "one")
    page = await page_with(browser, path, "answered 503")
    for text in ("the last attempt failed", "Next try", f"/deliveries?state=pending&amp;webhook={hook['id']}"):
        assert text in page
    listed = (await browser.get("/webhooks"))[1]
    assert "the last attempt failed" in listed
    assert re.search(r"\d waiting", listed)
    receiver.answer = None
    await browser.post(f"{path}/pause")
    await browser.post(f"{path}/resume")
    page = await page_with(browser, path, '<span class="state good">works</span>')
    assert "Next try" not in page


async def test_what_failed_is_resent_from_the_webhooks_page(bot: Bot, browser: Browser, receiver: Receiver) -> None:
    receiver.answer = lambda _got: (404, {}, {})
    hook = await made(bot, receiver.url, events=["session.deleted"])
    path = f"/webhooks/{hook['id']}"
    await event(bot, "one")
    await eventually(lambda: bool(receiver.requests), what="an attempt")
    await page_with(browser, path, "answered 404")
    async with bot.app[keys.DATABASE].write() as connection:
        assert await deliveries.give_up(connection, hook["id"], 1 << 62, 0) == 1
    assert "Resend what failed" in (await browser.get(path))[1]
    receiver.answer = None
    sent = len(receiver.requests)
    assert await browser.post("/deliveries/replay", webhook=hook["id"], since="1h", next=path) == (
        303, f"{path}?done=replay",
    )  # fmt: skip
    await eventually(lambda: len(receiver.requests) > sent, what="the delivery that is sent again")
    assert "must be one of those offered" in await browser.refused(
        "/deliveries/replay", webhook=hook["id"], since="1y", next=path
    )


async def test_a_delivery_shows_its_request_attempts_and_answers_and_no_secret(
    bot: Bot, browser: Browser, receiver: Receiver
) -> None:
    receiver.answer = lambda _got: (500, {"why": "<b>closed</b>"}, {})
    hook = await made(
        bot, f"{receiver.url}/hook", events=["session.deleted"], headers={"Authorization": "Bearer s3cret"}
    )
    await event(bot, "one")
    page = await page_with(browser, "/deliveries?state=pending", "answered 500")
    (link,) = set(re.findall(rf'href="(/deliveries/{hook["id"]}/\w+)"', page))
    _, page = await browser.get(link)
    assert f"POST {receiver.url}/hook" in page
    assert "&lt;b&gt;closed&lt;/b&gt;" in page
    assert re.search(r"<strong>answered 500</strong> <span class=\"soft\">after \d+", page)
    for name, value in (
        ("Authorization", "***"),
        ("webhook-signature", "v1,***"),
        ("webhook-id", link.rpartition("/")[2]),
    ):
        assert f'<th scope="row">{name}</th><td class="code">{value}</td>' in page
    assert "Bearer s3cret" not in page
    assert "&#34;type&#34;: &#34;session.deleted&#34;" in page
    assert 'data-copy="body"' in page
    assert "Next try" in page
    assert ">Try now</button>" in page
    assert (await browser.get("/deliveries/wh-none/none"))[0] == 404

    receiver.answer = None
    status, target = await browser.post("/deliveries/replay", delivery=link.removeprefix("/deliveries/"), next=link)
    assert (status, target) == (303, f"{link}?done=replay")
    page = await page_with(browser, link, "answered 200")
    status, target = await browser.post("/deliveries/replay", delivery=link.removeprefix("/deliveries/"), next=link)
    assert (status, target) == (303, f"{link}?done=replay")
    await eventually(lambda: len(receiver.requests) >= 3, what="the delivery that is sent again")


async def test_the_list_of_deliveries_is_filtered_and_paged(bot: Bot, browser: Browser, receiver: Receiver) -> None:
    first = await made(bot, f"{receiver.url}/first")
    await made(bot, f"{receiver.url}/second")
    for number in range(30):
        await event(bot, f"s{number}")

    async def arrived() -> bool:
        _, page = await bot.call("GET", "/api/deliveries?state=delivered&type=session.deleted&limit=500")
        return len(page["deliveries"]) == 60

    await eventually(arrived, what="60 deliveries")

    async def links(path: str) -> tuple[list[str], str]:
        _, page = await browser.get(path)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        return re.findall(r'href="(/deliveries/[\w-]+/\w+)"', page), html.unescape(older[1]) if older else ""

    path, seen = "/deliveries?state=delivered&type=session.deleted", []
    while path:
        found, path = await links(path)
        seen += found
    assert len(set(seen)) == len(seen) == 60
    found, _ = await links(f"/deliveries?state=all&webhook={first['id']}&session=s7&type=session.deleted&since=1h")
    assert len(found) == 1
    assert found[0].startswith(f"/deliveries/{first['id']}/")
    _, page = await browser.get(f"/deliveries?state=dead&webhook={first['id']}")
    assert f'value="{first["id"]}" selected' in page
    assert (await browser.get("/deliveries?state=lost"))[0] == 404


async def test_who_may_only_read_sees_health_and_no_form(bot: Bot) -> None:
    _, key = await bot.call("POST", "/api/keys", {"name": "bob", "owner": "bob", "scopes": ["read"]})
    hook = await made(bot, "https://shop.example.com/a", owner="bob")
    browser = Browser(bot)
    await browser.sign_in(key["key"])
    status, page = await browser.get(f"/webhooks/{hook['id']}")
    assert (status, "not called yet" in page) == (200, True)
    assert page.count("<form") == 1, "to sign out"
    other = await made(bot, "https://shop.example.com/b", owner="ann")
    assert (await browser.get(f"/webhooks/{other['id']}"))[0] == 404

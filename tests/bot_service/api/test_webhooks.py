"""Webhooks and deliveries over the API: change, headers, rotation, health, filters, and one delivery with its secrets hidden."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from bot_service import keys
from bot_service.store import deliveries
from tests.support.bot_app import Bot, running
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path / "data", WEBHOOK_ALLOW_PRIVATE="true") as started:
        yield started


async def made(bot: Bot, url: str, **fields: Any) -> dict[str, Any]:
    status, webhook = await bot.call("POST", "/api/webhooks", {"url": url, **fields})
    assert status == 201, webhook
    return dict(webhook)


async def key_of(bot: Bot, owner: str, *scopes: str) -> str:
    _, key = await bot.call("POST", "/api/keys", {"name": owner, "owner": owner, "scopes": list(scopes)})
    return str(key["key"])


async def listed(bot: Bot, query: str = "") -> list[dict[str, Any]]:
    status, page = await bot.call("GET", f"/api/deliveries?{query}")
    assert status == 200, page
    return list(page["deliveries"])


def lowered(got: Received) -> dict[str, str]:
    return {name.lower(): value for name, value in got.headers.items()}


async def test_header_values_are_never_shown_and_kept_by_stars(bot: Bot, receiver: Receiver) -> None:
    webhook = await made(bot, receiver.url, headers={"Authorization": "Bearer abc"})
    path = f"/api/webhooks/{webhook['id']}"
    assert webhook["headers"] == {"Authorization": "***"}
    status, changed = await bot.call("PATCH", path, {"headers": {"authorization": "***", "X-Shop": "one"}})
    assert (status, changed["headers"]) == (200, {"authorization": "***", "X-Shop": "***"})
    await bot.call("POST", f"{path}/test")
    sent = lowered(receiver.requests[0])
    assert (sent["authorization"], sent["x-shop"]) == ("Bearer abc", "one")
    _, changed = await bot.call("PATCH", path, {"active": False})
    assert changed["headers"] == {"authorization": "***", "X-Shop": "***"}
    assert (await bot.call("PATCH", path, {"headers": {}}))[1]["headers"] == {}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Webhook-Signature": "v1,abc"}, "Webhook-Signature is set by this service"),
        ({"Content-Length": "1"}, "Content-Length is set by this service"),
        ({"X-New": "***"}, "there is none of X-New"),
        ({"X" * 101: "1"}, None),
        ({f"X-{number}": "1" for number in range(21)}, None),
        ({"X-A": "1", "x-a": "2"}, "x-a is there twice"),
        ({"X A": "1"}, "'X A' is no name of a header"),
        ({"X-A": "1\r\nX-B: 2"}, "the value of X-A must be printable ASCII on one line"),
    ],
)
async def test_headers_that_cannot_be_are_refused_by_name(bot: Bot, headers: dict[str, str], why: str | None) -> None:
    status, problem = await bot.call("POST", "/api/webhooks", {"url": "https://shop.example.com", "headers": headers})
    assert (status, problem["code"]) == (422, "invalid")
    assert problem["errors"][0]["field"].startswith("headers")
    assert why is None or why in problem["errors"][0]["message"]


async def test_the_session_of_a_webhook_changes_and_goes(bot: Bot) -> None:
    ann = await key_of(bot, "ann", "read", "session")
    for session, owner in (("a1", "ann"), ("b1", "bob")):
        await bot.call("POST", "/api/sessions", {"id": session, "owner": owner, "start": False})
    webhook = await made(bot, "https://shop.example.com")
    path = f"/api/webhooks/{webhook['id']}"
    _, changed = await bot.call("PATCH", path, {"session": "a1"})
    assert (changed["session"], changed["owner"]) == ("a1", "ann")
    status, problem = await bot.call("PATCH", path, {"session": "b1"}, key=ann)
    assert (status, problem["code"]) == (404, "not_found")
    _, changed = await bot.call("PATCH", path, {"session": None}, key=ann)
    assert (changed["session"], changed["owner"]) == (None, "ann")
    _, changed = await bot.call("PATCH", path, {"active": False}, key=ann)
    assert (changed["session"], changed["active"]) == (None, False)


async def test_a_rotation_keeps_the_old_secret_signing_for_as_long_as_asked(bot: Bot, receiver: Receiver) -> None:
    webhook = await made(bot, receiver.url)
    path = f"/api/webhooks/{webhook['id']}"
    _, rotated = await bot.call("POST", f"{path}/secret")
    assert rotated["secret"] != webhook["secret"]
    assert rotated["oldSecretUntil"] > rotated["updatedAt"]
    await bot.call("POST", f"{path}/test")
    got = receiver.requests[0]
    for secret in (rotated["secret"], webhook["secret"]):
        assert Verifier(secret).verify(got.raw.decode(), lowered(got))["type"] == "webhook.test"

    _, ended = await bot.call("POST", f"{path}/secret", {"overlap": 0})
    assert ended["oldSecretUntil"] is None
    await bot.call("POST", f"{path}/test")
    got = receiver.requests[1]
    assert len(lowered(got)["webhook-signature"].split()) == 1
    assert Verifier(ended["secret"]).verify(got.raw.decode(), lowered(got))
    assert (await bot.call("POST", f"{path}/secret", {"overlap": 7 * 86_400_000 + 1}))[0] == 422
    assert "secret" not in (await bot.call("GET", path))[1]


async def test_health_and_a_delivery_with_its_attempts_and_hidden_secrets(bot: Bot, receiver: Receiver) -> None:
    receiver.answer = lambda _got: (503, {"why": "closed"}, {})
    webhook = await made(bot, f"{receiver.url}/hook?token=s3cret", headers={"Authorization": "Bearer abc"})
    assert webhook["health"]["state"] == "new"
    await bot.call("POST", "/api/sessions", {"id": "one", "start": False})
    await bot.call("DELETE", "/api/sessions/one")

    async def failed() -> list[dict[str, Any]]:
        return [row for row in await listed(bot, "state=pending&type=session.deleted") if row["attempts"]]

    (row,) = await eventually(failed, what="an attempt that failed")
    _, shown = await bot.call("GET", f"/api/webhooks/{webhook['id']}")
    health = shown["health"]
    assert health["state"] in ("failing", "down")
    assert (health["lastFailureStatus"], health["lastFailureError"], health["lastSuccessAt"]) == (503, "http_503", None)
    assert health["waiting"] >= 1
    assert health["nextAttemptAt"] is not None

    _, one = await bot.call("GET", f"/api/deliveries/{webhook['id']}/{row['event']}")
    assert one["request"]["url"] == f"{receiver.url}/hook?***"
    assert "s3cret" not in str(one)
    headers = {name.lower(): value for name, value in one["request"]["headers"].items()}
    assert (headers["authorization"], headers["webhook-signature"]) == ("***", "v1,***")
    assert (headers["webhook-id"], headers["content-type"]) == (row["event"], "application/json")
    sent = lowered(receiver.requests[-1])
    assert set(headers) <= set(sent)
    first = one["history"][0]
    assert (first["status"], first["error"], first["answer"]) == (503, "http_503", '{"why": "closed"}')
    assert first["durationMs"] >= 0
    assert one["nextAttemptAt"] > first["at"]
    await bot.call("PATCH", f"/api/webhooks/{webhook['id']}", {"active": False})
    _, one = await bot.call("GET", f"/api/deliveries/{webhook['id']}/{row['event']}")
    assert (one["state"], one["nextAttemptAt"]) == ("pending", None)
    assert one["body"]["type"] == "session.deleted"


async def test_deliveries_are_filtered_by_state_webhook_type_session_and_time(bot: Bot, receiver: Receiver) -> None:
    first, second = (
        await made(bot, f"{receiver.url}/1"),
        await made(bot, f"{receiver.url}/2", events=["session.deleted"]),
    )
    for session in ("one", "two"):
        await bot.call("POST", "/api/sessions", {"id": session, "start": False})
        await bot.call("DELETE", f"/api/sessions/{session}")

    async def arrived() -> bool:
        return len(await listed(bot, "state=delivered&type=session.deleted")) == 4

    await eventually(arrived, what="four deliveries")
    assert {row["webhook"] for row in await listed(bot, f"state=all&webhook={second['id']}")} == {second["id"]}
    found = await listed(bot, f"state=all&session=one&type=session.deleted&webhook={first['id']}")
    assert [(row["session"], row["type"]) for row in found] == [("one", "session.deleted")]
    newest = (await listed(bot, "state=all&limit=1"))[0]
    assert await listed(bot, "state=all&since=2100-01-01T00:00:00Z") == []
    assert newest in await listed(bot, "state=all&since=2020-01-01T00:00:00%2B02:00")
    status, problem = await bot.call("GET", "/api/deliveries?since=yesterday")
    assert (status, problem["errors"][0]["field"]) == (422, "since")
    assert (await bot.call("GET", "/api/deliveries?state=lost"))[0] == 422

    pages, cursor = [], ""
    while True:
        _, page = await bot.call("GET", f"/api/deliveries?state=delivered&type=session.deleted&limit=1{cursor}")
        pages += [(row["event"], row["webhook"]) for row in page["deliveries"]]
        if page["next"] is None:
            break
        cursor = f"&before={page['next']}"
    assert len(set(pages)) == len(pages) == 4


async def test_what_failed_is_resent_by_time_and_what_arrived_by_name(bot: Bot, receiver: Receiver) -> None:
    webhook = await made(bot, receiver.url, events=["session.deleted"])
    await bot.call("POST", "/api/sessions", {"id": "one", "start": False})
    await bot.call("DELETE", "/api/sessions/one")
    await eventually(lambda: len(receiver.requests) == 1, what="the delivery")
    event = receiver.requests[0].headers["webhook-id"]

    async def arrived() -> bool:
        return bool(await listed(bot, "state=delivered"))

    await eventually(arrived, what="its result")
    status, answer = await bot.call("POST", "/api/deliveries/replay", {"webhook": webhook["id"], "events": [event]})
    assert (status, answer["replayed"]) == (202, 1)
    await eventually(lambda: len(receiver.requests) == 2, what="the delivery that is sent again")
    assert receiver.requests[1].headers["webhook-id"] == event
    await eventually(arrived, what="its second result")

    async with bot.app[keys.DATABASE].write() as connection:
        await connection.execute(deliveries.webhook_outbox.update().values(state="dead"))
    for body, count in (
        ({"since": "2100-01-01T00:00:00Z"}, 0),
        ({"webhook": webhook["id"], "since": "2020-01-01T00:00:00Z"}, 1),
        ({}, 0),
    ):
        status, answer = await bot.call("POST", "/api/deliveries/replay", body)
        assert (status, answer) == (202, {"replayed": count}), body
    status, problem = await bot.call("POST", "/api/deliveries/replay", {"events": [event]})
    assert (status, problem["errors"][0]["field"]) == (422, "webhook")
    assert (await bot.call("POST", "/api/deliveries/replay", {"since": "2020-01-01T00:00:00"}))[0] == 422


async def test_an_owner_finds_its_deliveries_by_the_id_that_it_knows(bot: Bot, receiver: Receiver) -> None:
    keys_of = {owner: await key_of(bot, owner, "read", "session") for owner in ("ann", "bob")}
    for owner, key in keys_of.items():
        status, _ = await bot.call("POST", "/api/webhooks", {"url": f"{receiver.url}/{owner}"}, key=key)
        assert status == 201
        assert (await bot.call("POST", "/api/sessions", {"id": "shop", "start": False}, key=key))[0] == 201
        assert (await bot.call("DELETE", "/api/sessions/shop", key=key))[0] == 204

    async def found(key: str) -> list[dict[str, Any]]:
        _, page = await bot.call("GET", "/api/deliveries?state=all&session=shop&type=session.deleted", key=key)
        return list(page["deliveries"])

    for key in keys_of.values():
        (row,) = await eventually(lambda: found(key), what="a delivery")  # noqa: B023
        assert row["session"] == "shop"


async def test_the_url_of_an_alert_channel_is_not_shown(tmp_path: Path) -> None:
    async with running(tmp_path / "data", ALERT_URLS="http://127.0.0.1:9/secret-path?secret=whsec_abc") as bot:
        await bot.app[keys.EVENTS].service_alerts.raise_("test", "for the operator")
        (row,) = await eventually(lambda: listed(bot, "state=pending"), what="the alert's delivery")
        _, one = await bot.call("GET", f"/api/deliveries/{row['webhook']}/{row['event']}")
        assert one["request"]["url"] is None
        assert "secret-path" not in str(one)

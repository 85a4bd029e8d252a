"""Webhooks of a dialect: its bodies, headers and addresses, as durable as every other delivery."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from bot_service.events.dialects import DialectBody, Envelope
from bot_service.store.deliveries import Webhook
from tests.bot_service.webhooks.bench import bench, webhook
from tests.support.receiver import Receiver


class Echo:
    """Says a message once for each letter of its text; cannot say a text with a digit."""

    def bodies(self, _webhook: Webhook, event: Envelope) -> list[DialectBody]:
        text = event.data["text"]
        if not text.isalpha():
            raise ValueError(text)
        return [DialectBody(f"said.{letter}", letter.encode()) for letter in text]

    def url(self, webhook: Webhook, event_type: str) -> str:
        return f"{webhook.url}/{event_type}"

    def headers(self, webhook: Webhook, delivery: str, body: bytes, at: datetime) -> dict[str, str]:
        return {"X-Of": f"{webhook.options!r} {delivery} {body!r}", "X-At": at.isoformat()}


def echo(receiver: Receiver, **fields: Any) -> Webhook:
    return webhook(receiver.url, "wh-echo", dialect="echo", options=b"{}", **fields)


async def test_one_event_is_what_its_dialect_makes_of_it_in_order(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda _got: (200, {"reply": "unasked"}, {})
    async with bench(tmp_path, [echo(receiver)], dialects={"echo": Echo()}) as at:
        await at.publish("ab", "c")
        await at.all_delivered(3)
        assert [row.type for row in await at.rows("delivered")] == ["said.c", "said.b", "said.a"]
        assert at.replies == [], "other APIs have no replies in answers"
    assert [got.raw for got in receiver.requests] == [b"a", b"b", b"c"]
    assert [got.path for got in receiver.requests] == ["/said.a", "/said.b", "/said.c"]
    ids = [got.headers["X-Of"].split()[1] for got in receiver.requests]
    assert ids == sorted(set(ids))


async def test_a_repeated_delivery_is_the_same_with_a_new_time(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda _got: (503 if len(receiver.requests) == 1 else 200, {}, {})
    async with bench(tmp_path, [echo(receiver)], dialects={"echo": Echo()}) as at:
        await at.publish("a")
        await at.waited(1)
        await at.arrived(1)
    first, second = receiver.requests
    assert (first.raw, first.headers["X-Of"]) == (second.raw, second.headers["X-Of"])
    assert first.headers["X-At"] < second.headers["X-At"]


async def test_what_a_dialect_cannot_say_is_a_dead_letter_and_holds_up_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with bench(tmp_path, [echo(receiver)], dialects={"echo": Echo()}) as at:
        await at.publish("1", "a")
        await at.all_delivered(1)
        (dead,) = await at.rows("dead")
    assert (dead.last_error, dead.type) == ("dialect", "message")
    assert [got.raw for got in receiver.requests] == [b"a"]


async def test_other_webhooks_get_the_event_as_it_is(tmp_path: Path, receiver: Receiver) -> None:
    hooks = [webhook(receiver.url), webhook(receiver.url, "wh-2", dialect="of another version")]
    async with bench(tmp_path, hooks, dialects={"echo": Echo()}) as at:
        await at.publish("a")
        await at.all_delivered(2)
    assert [got.json["data"] for got in receiver.requests] == [{"text": "a"}, {"text": "a"}]

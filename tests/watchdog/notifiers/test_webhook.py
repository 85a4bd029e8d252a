"""The webhook channel against real HTTP servers on loopback."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from shared.clock import SystemClock
from shared.retry import retry_after_s
from shared.service_clock import ServiceClock
from shared.settings import Secret
from tests.support.fake_clock import FakeClock
from tests.support.ports import free_port
from tests.support.receiver import Received, Receiver
from watchdog.domain.states import Notice, NoticeKind
from watchdog.notifiers.webhook import WebhookNotifier, payload

SECRET = "whsec_" + base64.b64encode(b"\xfb\xff thirty-two bytes of a secret..").decode()
NOTICE = Notice(
    id="bot-down-20260101T000000-1:down",
    target="bot",
    kind=NoticeKind.DOWN,
    created_at_ms=1_767_225_600_000,
    title="bot is DOWN",
    text="bot is DOWN since 2026-01-01 00:00:00 UTC: timeout.",
    incident_id="bot-down-20260101T000000-1",
    fields={"reason": "timeout", "failures": 3},
)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def _notifier(
    url: str, http: aiohttp.ClientSession, *, secret: str | None = None, timeout_s: float = 5
) -> WebhookNotifier:
    return WebhookNotifier(
        Secret(url), http, SystemClock(), secret=Secret(secret) if secret else None, timeout_s=timeout_s
    )


def _as_webhook(url: str) -> str:
    return url.replace("http://", "webhook://", 1)


async def test_a_receiver_gets_a_json_post_with_a_stable_id(receiver: Receiver, http: aiohttp.ClientSession) -> None:
    notifier = _notifier(_as_webhook(receiver.url) + "/alerts?team=a", http)
    assert (await notifier.send(NOTICE)).ok
    assert (await notifier.send(NOTICE)).ok
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == NOTICE.id
    assert first.raw == second.raw
    assert first.path == "/alerts"
    assert first.json["type"] == "watchdog.down"
    assert first.json["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert first.json["data"]["incidentId"] == NOTICE.incident_id
    assert first.json["data"]["failures"] == 3
    assert "webhook-signature" not in first.headers


@pytest.mark.parametrize("in_url", [True, False])
async def test_the_signature_satisfies_the_standard_webhooks_library(
    receiver: Receiver, http: aiohttp.ClientSession, in_url: bool
) -> None:
    address = _as_webhook(receiver.url) + ("/?a=b&secret=" + SECRET if in_url else "/?a=b")
    notifier = _notifier(address, http, secret=None if in_url else SECRET)
    assert (await notifier.send(NOTICE)).ok
    request = receiver.requests[0]
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert Webhook(SECRET).verify(request.raw, headers) == request.json
    other = "whsec_" + base64.b64encode(b"another").decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(request.raw, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.raw + b" ", headers)


async def test_the_secret_of_the_url_is_not_sent_and_not_shown(receiver: Receiver, http: aiohttp.ClientSession) -> None:
    notifier = _notifier(_as_webhook(receiver.url) + "/?x=1&secret=" + SECRET, http)
    seen: list[str] = []

    def answer(got: Received) -> tuple[int, Any, dict[str, str]]:
        seen.append(repr(got))
        return 200, None, {}

    receiver.answer = answer
    assert (await notifier.send(NOTICE)).ok
    assert SECRET not in seen[0]
    assert SECRET not in notifier.label + notifier.channel + repr(notifier)
    assert notifier.label == receiver.url


@pytest.mark.parametrize(
    ("status", "headers", "reason", "after"),
    [
        (500, {}, "http_500", None),
        (429, {"Retry-After": "7"}, "http_429", 7.0),
        (503, {"Retry-After": "soon"}, "http_503", None),
        (503, {"Retry-After": "9" * 400}, "http_503", None),
        (503, {"Retry-After": "Sun, 31 Feb 2026 12:00:00 GMT"}, "http_503", None),
        (429, {"Retry-After": "-5"}, "http_429", None),
        (301, {"Location": "/elsewhere"}, "http_301", None),
        (404, {}, "http_404", None),
    ],
)
async def test_anything_but_2xx_is_a_named_failure(
    receiver: Receiver,
    http: aiohttp.ClientSession,
    status: int,
    headers: dict[str, str],
    reason: str,
    after: float | None,
) -> None:
    receiver.answer = lambda _: (status, {}, headers)
    delivered = await _notifier(receiver.url, http).send(NOTICE)
    assert (delivered.ok, delivered.reason, delivered.retry_after_s) == (False, reason, after)
    assert len(receiver.requests) == 1


async def test_a_receiver_that_hangs_is_given_up(receiver: Receiver, http: aiohttp.ClientSession) -> None:
    receiver.hang = True
    delivered = await _notifier(receiver.url, http, timeout_s=0.2).send(NOTICE)
    assert (delivered.ok, delivered.reason) == (False, "timeout")


async def test_a_name_that_does_not_resolve_is_called_dns(http: aiohttp.ClientSession) -> None:
    delivered = await _notifier("webhook://no-such-host.invalid/x", http).send(NOTICE)
    assert (delivered.ok, delivered.reason) == (False, "dns")


async def test_a_closed_port_is_called_connect_failed(http: aiohttp.ClientSession) -> None:
    delivered = await _notifier(f"webhook://127.0.0.1:{free_port()}/", http).send(NOTICE)
    assert (delivered.ok, delivered.reason) == (False, "connect_failed")


async def test_plain_http_where_tls_is_wanted_is_called_tls(receiver: Receiver, http: aiohttp.ClientSession) -> None:
    delivered = await _notifier(receiver.url.replace("http://", "webhooks://", 1), http).send(NOTICE)
    assert (delivered.ok, delivered.reason) == (False, "tls")


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after_s("120", now) == 120
    assert retry_after_s("Thu, 01 Jan 2026 00:01:30 GMT", now) == 90
    assert retry_after_s("Wed, 31 Dec 2025 00:00:00 GMT", now) == 0
    assert retry_after_s("-5", now) is None
    assert retry_after_s(None, now) is None


def test_a_body_holds_the_fields_for_programs_and_a_text_for_chats() -> None:
    assert b'"text":"bot is DOWN since' in payload(NOTICE)


async def test_a_receiver_that_refuses_the_time_of_before_a_step_gets_the_one_of_after_it(
    receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    fake = FakeClock()
    clock = ServiceClock(fake)
    fake.step(60 * 86_400)
    right_s = fake.now().timestamp()

    def answer(got: Received) -> tuple[int, Any, dict[str, str]]:
        return (200 if abs(int(got.headers["webhook-timestamp"]) - right_s) < 300 else 403), None, {}

    receiver.answer = answer
    sent = await WebhookNotifier(Secret(_as_webhook(receiver.url)), http, clock, secret=Secret(SECRET)).send(NOTICE)
    assert sent.ok
    assert len(receiver.requests) == 2
    unsigned = await WebhookNotifier(Secret(_as_webhook(receiver.url)), http, clock).send(NOTICE)
    assert not unsigned.ok
    assert len(receiver.requests) == 3, "without a signature no time is refused"

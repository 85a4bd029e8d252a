"""Webhooks over real HTTP: down for an hour, 500, slow, redirecting, huge answers, and one that blocks no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from standardwebhooks import Webhook as Verifier

from bot_service.webhooks.lanes import Lane
from tests.bot_service.webhooks.bench import HOUR_S, SECRET, bench, webhook
from tests.support.fake_clock import FakeClock
from tests.support.processes import free_port
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually


def texts(receiver: Receiver) -> list[str]:
    return [got.json["data"]["text"] for got in receiver.requests]


def always(status: int, body: Any = None, **headers: str) -> Any:
    return lambda _got: (status, body, headers)


async def test_a_delivery_is_signed_as_standard_webhooks_and_in_order(tmp_path: Path, receiver: Receiver) -> None:
    from datetime import UTC, datetime

    clock = FakeClock(datetime.now(UTC).replace(microsecond=0))  # the library checks the age of a signature
    async with bench(tmp_path, [webhook(receiver.url)], clock=clock) as at:
        await at.publish(*(str(number) for number in range(30)))
        await at.all_delivered(30)
    assert texts(receiver) == [str(number) for number in range(30)]
    got = receiver.requests[0]
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert Verifier(SECRET).verify(got.raw.decode(), headers)["type"] == "message"


async def test_a_receiver_that_is_down_for_an_hour_gets_everything_once_in_order_after_it_came_back(
    tmp_path: Path,
) -> None:
    port = free_port()
    receiver = Receiver()
    async with bench(tmp_path, [webhook(f"http://127.0.0.1:{port}")]) as at:
        await at.publish("1", "2", "3")
        await at.publish("other", session="two")
        await at.waited(1)
        passed = 0.0
        while passed < HOUR_S:
            await at.clock.advance(30)
            passed += 30
            await asyncio.sleep(0.002)  # a refused connection takes a turn of the real loop
        assert len(await at.rows("pending")) == 4
        assert len(at.counted) < 60, "a receiver that is down is asked ever more rarely"
        await receiver.start(port)
        try:
            await at.arrived(4)
            assert [text for text in texts(receiver) if text != "other"] == ["1", "2", "3"]
            assert len(receiver.requests) == 4
        finally:
            await receiver.stop()


async def test_what_waits_survives_a_restart_of_the_service(tmp_path: Path) -> None:
    port = free_port()
    hook = webhook(f"http://127.0.0.1:{port}")
    clock = FakeClock()
    async with bench(tmp_path, [hook], clock=clock) as at:
        await at.publish("1", "2")
        await at.waited(1)
    async with Receiver() as receiver:
        hook = webhook(receiver.url)
        clock = FakeClock()
        async with bench(tmp_path, [hook], clock=clock) as at:
            await at.arrived(2)
        assert texts(receiver) == ["1", "2"]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 500])
async def test_a_message_that_is_refused_steps_aside_and_the_rest_goes_on(
    tmp_path: Path, receiver: Receiver, status: int
) -> None:
    def answer(got: Received) -> tuple[int, Any, dict[str, str]]:
        return (status if got.json["data"]["text"] == "poison" else 200), {}, {}

    receiver.answer = answer
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1", "poison", "3", "4")
        for failures in (1, 2, 3):
            await at.waited(failures)
            await at.clock.advance(60)
        await at.all_delivered(3)
        assert [text for text in texts(receiver) if text != "poison"] == ["1", "3", "4"]
        pending = await at.rows("pending")
        assert [(row.last_status, row.last_error) for row in pending] == [(status, f"http_{status}")]
        assert pending[0].attempts >= 3
        receiver.answer = None
        await at.arrived(4)


async def test_after_a_day_it_is_a_dead_letter_that_can_be_replayed(tmp_path: Path, receiver: Receiver) -> None:
    from bot_service.store import deliveries

    receiver.answer = always(500)
    async with bench(tmp_path, [webhook(receiver.url)], cap_s=3600.0) as at:
        await at.publish("1")

        async def dead_after_another_hour() -> list[Any]:
            await at.clock.advance(3600)
            return await at.rows("dead")

        begun = at.clock.monotonic()
        assert len(await eventually(dead_after_another_hour, what="the dead letter")) == 1
        assert at.clock.monotonic() - begun >= 86_400
        receiver.answer = None
        async with at.database.write() as connection:
            assert await deliveries.replay(connection, "wh-1", at.clock.now_ms) == 1
        at.dispatcher.retry_asides("wh-1")
        await at.arrived(1)


async def test_retry_after_is_obeyed(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = always(429, None, **{"Retry-After": "120"})
    async with bench(tmp_path, [webhook(receiver.url)], pick=0.0) as at:
        await at.publish("1")
        await at.waited(1)
        await at.clock.advance(119)
        await asyncio.sleep(0.05)
        assert len(receiver.requests) == 1
        receiver.answer = None
        await at.clock.advance(2)
        await at.all_delivered(1)


async def test_a_slow_receiver_delays_no_other(tmp_path: Path, receiver: Receiver) -> None:
    async with Receiver(hang=True) as slow:
        hooks = [webhook(slow.url, "wh-slow"), webhook(receiver.url, "wh-fast")]
        # A receiver that waited for the slow one would have nothing before this test gives up.
        async with bench(tmp_path, hooks, timeout_s=300.0) as at:
            for session in range(10):
                await at.publish("a", "b", session=f"s{session}")
            await eventually(lambda: len(receiver.requests) == 20, what="all at the quick one")
            assert len(slow.requests) == 4, "at most four at once to one receiver"


async def test_an_answer_that_never_ends_is_a_time_out(tmp_path: Path) -> None:
    async with Receiver(hang=True) as slow, bench(tmp_path, [webhook(slow.url)], timeout_s=0.2) as at:
        await at.publish("1")
        await at.waited(1)
        assert [row.last_error for row in await at.rows("pending")] == ["timeout"]


async def test_a_redirect_is_not_followed(tmp_path: Path, receiver: Receiver) -> None:
    async with Receiver() as inner:
        receiver.answer = always(307, None, Location=inner.url)
        async with bench(tmp_path, [webhook(receiver.url)]) as at:
            await at.publish("1")
            await at.waited(1)
            assert [row.last_error for row in await at.rows("pending")] == ["redirect"]
        assert inner.requests == []


async def test_a_huge_answer_is_delivered_and_not_read(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = always(200, {"reply": "x" * 5_000_000})
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1")
        await at.all_delivered(1)
        assert at.replies == []


async def test_a_reply_is_passed_on(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = always(200, {"reply": "Bonjour"})
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1")
        await at.all_delivered(1)
        assert at.replies == ["Bonjour"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]"])
async def test_a_private_address_is_refused_where_the_connection_is_made(
    tmp_path: Path, receiver: Receiver, host: str
) -> None:
    port = receiver.url.rpartition(":")[2]
    async with bench(tmp_path, [webhook(f"http://{host}:{port}/")], allow_private=False) as at:
        await at.publish("1")
        await at.waited(1)
        assert [row.last_error for row in await at.rows("pending")] == ["private_address"]
    assert receiver.requests == []


async def test_a_webhook_that_is_switched_off_keeps_what_waits(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = always(503)
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1")
        await at.waited(1)
        at.subscriptions.put(webhook(receiver.url, active=False))
        await at.clock.advance(7200)
        assert len(await at.rows("pending")) == 1
        receiver.answer = None
        at.subscriptions.put(webhook(receiver.url))
        await at.arrived(1)


@pytest.mark.parametrize(
    ("status", "policy"),
    [(503, {}), (503, {"pause_after": 1}), (500, {"aside_after": 1})],
    ids=["held", "down", "aside"],
)
async def test_a_new_address_gets_at_once_what_waits(
    tmp_path: Path, receiver: Receiver, status: int, policy: dict[str, Any]
) -> None:
    async with Receiver(answer=always(status)) as old, bench(tmp_path, [webhook(old.url)], **policy) as at:
        await at.publish("1")
        await at.waited(1)
        assert [row.next_ms > at.clock.now_ms for row in await at.rows("pending")] == [True]
        at.subscriptions.put(webhook(receiver.url))
        await at.all_delivered(1)
    assert texts(receiver) == ["1"]


async def test_an_attempt_at_the_old_address_that_fails_later_delays_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with Receiver(hang=True) as old, bench(tmp_path, [webhook(old.url)]) as at:
        await at.publish("1", "2")
        await eventually(lambda: old.requests, what="an attempt at the old address")
        at.subscriptions.put(webhook(receiver.url))
        await old.stop()
        await at.all_delivered(2)
        assert at.counted == ["delivered", "delivered"], "the failure counts for the old address only"
    assert texts(receiver) == ["1", "2"]


async def test_what_becomes_due_while_it_is_read_is_due(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = always(503)
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1")
        await at.waited(1)
        [stored] = await at.rows("pending")
        lane, now_ms = Lane("wh-1", "one", more=True), at.clock.now_ms
        assert stored.next_ms > now_ms

        class Store:
            @asynccontextmanager
            async def read(self) -> AsyncIterator[AsyncConnection]:
                async with at.database.read() as connection:
                    lane.hasten(now_ms)
                    yield connection

        read = await lane.next(Store(), set(), now_ms)  # type: ignore[arg-type]
        assert read == msgspec.structs.replace(stored, next_ms=now_ms)


async def test_only_those_who_ask_for_an_event_and_own_the_session_get_it(tmp_path: Path, receiver: Receiver) -> None:
    hooks = [
        webhook(receiver.url + "/all", "wh-all"),
        webhook(receiver.url + "/states", "wh-states", events=("session.*",)),
        webhook(receiver.url + "/two", "wh-two", session="two"),
        webhook(receiver.url + "/bob", "wh-bob", owner="bob"),
        webhook(receiver.url + "/everybody", "wh-everybody", owner=None),
    ]
    async with bench(tmp_path, hooks) as at:
        await at.publish("1")
        await at.all_delivered(2)
    assert {got.path for got in receiver.requests} == {"/all", "/everybody"}

"""What is kept of attempts, the health of a receiver, and two signatures after a rotation; over real HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from bot_service.events.ids import first_at
from bot_service.store import deliveries, webhook_health
from bot_service.store.deliveries import Delivery, Filter
from bot_service.webhooks.health import HealthState, WebhookHealth
from bot_service.webhooks.tries import KEPT, tries_of
from shared import webhook_signing
from shared.clock import to_ms
from tests.bot_service.webhooks.bench import SECRET, Bench, bench, webhook
from tests.support.fake_clock import FakeClock
from tests.support.processes import free_port
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually


def health_of(at: Bench) -> WebhookHealth:
    return WebhookHealth(at.database, is_down=at.dispatcher.is_down, next_try_ms=at.dispatcher.next_try_ms)


async def test_a_delivery_keeps_its_attempts_with_what_came_back(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda _got: (500, {"why": "the database is away"}, {})
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1")
        await at.waited(1)
        (waiting,) = await at.rows("pending")
        (first,) = tries_of(waiting)
        assert (first.status, first.error, first.answer) == (500, "http_500", '{"why": "the database is away"}')
        receiver.answer = lambda _got: (200, {"taken": True}, {})
        await at.arrived(1)
        (row,) = await at.rows("delivered")
    failed, taken = tries_of(row)
    assert failed == first
    assert (taken.status, taken.error, taken.answer) == (200, None, '{"taken": true}')
    assert taken.at_ms > failed.at_ms


async def test_only_the_last_attempts_are_kept(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda got: (500, {"try": len(receiver.requests)}, {})
    async with bench(tmp_path, [webhook(receiver.url)], cap_s=60.0) as at:
        await at.publish("1")

        async def tried() -> bool:
            await at.clock.advance(60)
            return at.counted.count("retried") >= KEPT + 3

        await eventually(tried, what="more attempts than are kept")
        (row,) = await at.rows("pending")
    kept = tries_of(row)
    assert len(kept) == KEPT
    assert row.attempts > KEPT
    answers = [each.answer for each in kept]
    assert answers == [f'{{"try": {number}}}' for number in range(row.attempts - KEPT + 1, row.attempts + 1)]


async def test_a_large_or_binary_answer_is_cut_and_made_safe_to_show(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda _got: (500, "\u202e" + "x" * 5000, {})
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1")
        await at.waited(1)
        (row,) = await at.rows("pending")
    answer = tries_of(row)[0].answer
    assert answer is not None
    assert len(answer) < 600
    assert "\u202e" not in answer


async def test_the_health_of_a_receiver_from_new_to_down_and_back(tmp_path: Path) -> None:
    port, hook = free_port(), None
    receiver = Receiver()
    hook = webhook(f"http://127.0.0.1:{port}")
    async with bench(tmp_path, [hook]) as at:
        health = health_of(at)
        assert (await health.of([hook]))["wh-1"].state is HealthState.NEW
        await at.publish("1", "2")
        await at.waited(1)
        await at.results.writer.idle()
        found = (await health.of([hook]))["wh-1"]
        assert (found.state, found.waiting, found.dead) == (HealthState.FAILING, 2, 0)
        assert found.last.failed_error == "connect"
        assert found.next_ms is not None
        assert to_ms(at.clock.now()) <= found.next_ms <= to_ms(at.clock.now()) + 3_600_000

        async def down() -> bool:
            await at.clock.advance(60)
            return (await health.of([hook]))["wh-1"].state is HealthState.DOWN

        await eventually(down, what="a receiver that counts as down")
        await receiver.start(port)
        try:
            await at.arrived(2)
        finally:
            await receiver.stop()
        found = (await health.of([hook]))["wh-1"]
        assert (found.state, found.waiting, found.next_ms) == (HealthState.OK, 0, None)
        assert found.last.succeeded_ms is not None
        assert found.last.failed_ms is not None
        assert found.last.succeeded_ms > found.last.failed_ms
        paused = dataclasses.replace(hook, active=False)
        assert (await health.of([paused]))["wh-1"].state is HealthState.PAUSED


async def test_a_deleted_webhook_leaves_no_health(tmp_path: Path, receiver: Receiver) -> None:
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1")
        await at.all_delivered(1)
        async with at.database.write() as connection:
            assert await webhook_health.of(connection, ["wh-1"])
            await deliveries.delete_webhook(connection, "wh-1")
            assert await webhook_health.of(connection, ["wh-1"]) == {}


def lowered(got: Received) -> dict[str, str]:
    return {name.lower(): value for name, value in got.headers.items()}


async def test_after_a_rotation_both_secrets_are_right_until_the_overlap_ends(
    tmp_path: Path, receiver: Receiver
) -> None:
    new = webhook_signing.new_secret()
    clock = FakeClock(datetime.now(UTC).replace(microsecond=0))
    until_ms = to_ms(clock.now()) + 60_000
    hook = webhook(receiver.url, secret=new, old_secret=SECRET, old_secret_until_ms=until_ms)
    async with bench(tmp_path, [hook], clock=clock) as at:
        await at.publish("1")
        await at.all_delivered(1)
        await at.clock.advance(61)
        await at.publish("2")
        await at.all_delivered(2)
    during, after = receiver.requests
    for secret in (new, SECRET):
        Verifier(secret).verify(during.raw.decode(), lowered(during))
    assert Verifier(new).verify(after.raw.decode(), lowered(after))["data"] == {"text": "2"}
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(after.raw.decode(), lowered(after))


async def test_own_headers_go_along_and_change_no_header_of_this_service(tmp_path: Path, receiver: Receiver) -> None:
    headers = {"Authorization": "Bearer abc", "X-Shop": "one"}
    async with bench(tmp_path, [webhook(receiver.url, headers=headers)]) as at:
        await at.publish("1")
        await at.all_delivered(1)
    sent = lowered(receiver.requests[0])
    assert (sent["authorization"], sent["x-shop"], sent["content-type"]) == ("Bearer abc", "one", "application/json")
    assert sent["webhook-signature"].startswith("v1,")


async def pages(at: Bench, hooks: Sequence[str], wanted: Filter, size: int) -> list[Delivery]:
    """All rows, a page of ``size`` after the other."""
    found: list[Delivery] = []
    cursor = None
    while True:
        async with at.database.read() as connection:
            page = await deliveries.page(
                connection, hooks, Filter(wanted.state, before=cursor, since=wanted.since), limit=size
            )
        found.extend(page)
        if len(page) < size:
            return found
        cursor = (page[-1].event, page[-1].webhook)


@pytest.mark.parametrize("size", [1, 2, 3, 50])
async def test_pages_miss_no_delivery_of_an_event_that_goes_to_several_webhooks(
    tmp_path: Path, receiver: Receiver, size: int
) -> None:
    names = ["wh-1", "wh-2", "wh-3"]
    async with bench(tmp_path, [webhook(receiver.url, name) for name in names]) as at:
        await at.publish("1", "2")
        await at.all_delivered(6)
        for state in ("delivered", None):
            found = await pages(at, names, Filter(state), size)
            assert len({(row.webhook, row.event) for row in found}) == 6
            assert found == sorted(found, key=lambda row: (row.event, row.webhook), reverse=True)


async def test_those_named_are_sent_again_also_when_they_arrived_with_the_same_id(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1", "2")
        await at.all_delivered(2)
        event = receiver.requests[0].headers["webhook-id"]
        async with at.database.write() as connection:
            assert await deliveries.replay(connection, "wh-1", at.clock.now_ms, events=[event]) == 1
        at.dispatcher.retry_asides("wh-1")
        await eventually(lambda: len(receiver.requests) == 3, what="the delivery that is sent again")
        await at.all_delivered(2)
    assert receiver.requests[2].headers["webhook-id"] == event
    assert receiver.requests[2].raw == receiver.requests[0].raw


async def test_only_what_failed_since_a_time_is_sent_again(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda _got: (404, {}, {})
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("old")
        await at.clock.advance(3600)
        between = first_at(at.clock.now_ms)
        await at.clock.advance(1)
        await at.publish("new", session="two")
        async with at.database.write() as connection:
            assert await deliveries.give_up(connection, "wh-1", 1 << 62, at.clock.now_ms) == 2
            assert await deliveries.replay(connection, "wh-1", at.clock.now_ms, since=between) == 1
        async with at.database.read() as connection:
            dead = await deliveries.page(connection, ["wh-1"], Filter("dead"), limit=9)
    assert [b"old" in row.body for row in dead] == [True]


async def test_a_delivery_that_moves_on_while_a_page_is_read_is_listed_once_as_it_is_now(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _got: (500, {}, {})
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        await at.publish("1")
        await at.waited(1)
        await at.results.writer.idle()

        class Moves:
            """A connection of a reader; the delivery arrives after its first query."""

            def __init__(self, reading: AsyncConnection) -> None:
                self.reading = reading

            async def execute(self, query: Any) -> Any:
                found = list(await self.reading.execute(query))
                async with at.database.write() as writing:
                    await writing.execute(deliveries.webhook_outbox.update().values(state="delivered"))
                return found

        async with at.database.read() as reading:
            page = await deliveries.page(Moves(reading), ["wh-1"], Filter(None), limit=9)  # type: ignore[arg-type]
    assert [row.state for row in page] == ["delivered"]


async def test_a_delivery_that_steps_aside_is_tried_again_however_late_its_result_is_stored(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _got: (404, {}, {})
    async with bench(tmp_path, [webhook(receiver.url)]) as at:
        write, stored = at.results.writer._write, asyncio.Event()

        async def late(items: Any) -> None:
            await stored.wait()
            await write(items)

        await at.publish("1")
        await at.waited(1)
        await at.clock.advance(6)
        await at.waited(2)
        await at.results.writer.idle()
        assert at.counted == ["retried", "retried"]
        at.results.writer._write = late
        await at.clock.advance(11)
        await at.waited(3)
        # The time of the next attempt comes and goes while the store is busy.
        for _ in range(20):
            await at.clock.advance(30)
            await asyncio.sleep(0.01)
        receiver.answer = None
        stored.set()
        await at.arrived(1)

"""What is committed while the dispatcher reads what an earlier run left: nothing is forgotten, nothing overtakes."""

from __future__ import annotations

from pathlib import Path

from tests.bot_service.webhooks.bench import bench, webhook
from tests.support.processes import free_port
from tests.support.receiver import Receiver


async def test_events_that_come_before_the_dispatcher_has_read_the_store_are_delivered_in_order(
    tmp_path: Path, receiver: Receiver
) -> None:
    port = free_port()
    async with bench(tmp_path, [webhook(f"http://127.0.0.1:{port}")]) as at:
        await at.publish("left behind")
        await at.waited(1)
    async with bench(tmp_path, [webhook(receiver.url)], early=("early 1", "early 2")) as at:
        await at.arrived(3)
    assert [got.json["data"]["text"] for got in receiver.requests] == ["left behind", "early 1", "early 2"]

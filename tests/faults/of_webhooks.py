"""Faults of a webhook's receiver: down for an hour, 500, slow, redirecting, huge answers. No other receiver is held up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from tests.faults.fast import fast_service
from tests.faults.scene import Fault, Row, Scene, service
from tests.support.processes import free_port
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually

COUNT = 10


def texts(receiver: Receiver) -> list[str]:
    return [got.json["data"]["text"] for got in receiver.requests]


async def _both(scene: Scene, bad: str, good: Receiver) -> str:
    """The id of the webhook at ``bad``; another one is at ``good``."""
    await scene.client.post("/api/webhooks", {"url": good.url, "events": ["message"]})
    made = await scene.client.post("/api/webhooks", {"url": bad, "events": ["message"]})
    return str(made["id"])


async def _deliveries(scene: Scene, webhook: str, state: str) -> list[dict[str, Any]]:
    found = await scene.client.get(f"/api/deliveries?state={state}&webhook={webhook}")
    return list(found["deliveries"])


async def _pending_with(scene: Scene, webhook: str, error: str) -> dict[str, Any]:
    async def look() -> Any:
        rows = await _deliveries(scene, webhook, "pending")
        return next((row for row in rows if row["lastError"] == error), None)

    return dict(await eventually(look, what=f"a delivery that failed by {error}"))


async def _meanwhile(good: Receiver) -> float:
    """Seconds until the receiver that is well has all of it."""
    began = time.monotonic()
    await eventually(lambda: len(good.requests) >= COUNT, what="the other receiver having everything")
    assert texts(good) == [f"n {number}" for number in range(1, COUNT + 1)]
    return time.monotonic() - began


async def _in_order(bad: Receiver, within_s: float = 120) -> None:
    wanted = [f"n {number}" for number in range(1, COUNT + 1)]

    def look() -> bool:
        accepted = list(dict.fromkeys(texts(bad)))
        return accepted == wanted

    await eventually(look, within_s=within_s, what="everything in order at the receiver")


async def answers_500(folder: Path) -> Row:
    """Tried again with growing waits, then in order; what is refused three times steps aside."""
    async with Receiver() as bad, Receiver() as good, service(folder) as scene, scene.watched() as asked:
        seen: list[str] = []

        def answer(got: Received) -> tuple[int, Any, dict[str, str]]:
            seen.append(got.json["data"]["text"])
            return (500 if seen.count("n 1") <= 2 and seen[-1] == "n 1" else 200), {}, {}

        bad.answer = answer
        webhook = await _both(scene, bad.url, good)
        began = time.monotonic()
        await scene.simulate("message", count=COUNT, text="n")
        other_s = await _meanwhile(good)
        row = await _pending_with(scene, webhook, "http_500")
        assert (row["lastStatus"], row["nextAttemptAt"] is not None) == (500, True)
        await _in_order(bad)
        took_s = time.monotonic() - began
        assert seen.count("n 1") == 3
    reaction = "twice 500: retried after up to 5 and 10 s, then all in order"
    return Row(f"{reaction}; another receiver had all after {other_s:.1f} s", took_s, "all delivered", asked.told())


async def slow(folder: Path) -> Row:
    """Cut off after WEBHOOK_TIMEOUT and tried again."""
    async with (
        Receiver(hang=True) as bad,
        Receiver() as good,
        service(folder, WEBHOOK_TIMEOUT="1000") as scene,
        scene.watched() as asked,
    ):
        webhook = await _both(scene, bad.url, good)
        began = time.monotonic()
        await scene.simulate("message", count=COUNT, text="n")
        other_s = await _meanwhile(good)
        await _pending_with(scene, webhook, "timeout")
        bad.hang = False
        await _in_order(bad)
        took_s = time.monotonic() - began
    reaction = f"`timeout` after 1 s (WEBHOOK_TIMEOUT), retried; all in order once it answers; another one had all after {other_s:.1f} s"
    return Row(reaction, took_s, "all delivered", asked.told())


async def redirecting(folder: Path) -> Row:
    """Never followed: the place it points to is not called."""
    async with (
        Receiver() as bad,
        Receiver() as good,
        Receiver() as inner,
        service(folder) as scene,
        scene.watched() as asked,
    ):
        bad.answer = lambda _got: (307, None, {"Location": inner.url})
        webhook = await _both(scene, bad.url, good)
        began = time.monotonic()
        await scene.simulate("message", count=COUNT, text="n")
        other_s = await _meanwhile(good)
        row = await _pending_with(scene, webhook, "redirect")
        took_s = time.monotonic() - began
        assert row["lastStatus"] == 307
        assert inner.requests == []
    reaction = f"`redirect`, not followed, retried as a failure; another receiver had all after {other_s:.1f} s"
    return Row(reaction, took_s, "reported", asked.told())


async def huge(folder: Path) -> Row:
    """Delivered; the answer is not read beyond 64 kB and its reply not sent."""
    async with Receiver() as bad, Receiver() as good, service(folder) as scene, scene.watched() as asked:
        bad.answer = lambda _got: (200, {"reply": "x" * 20_000_000}, {})
        webhook = await _both(scene, bad.url, good)
        began = time.monotonic()
        await scene.simulate("message", count=COUNT, text="n")
        other_s = await _meanwhile(good)

        async def all_delivered() -> bool:
            return len(await _deliveries(scene, webhook, "delivered")) == COUNT

        await eventually(all_delivered, what="all deliveries")
        took_s = time.monotonic() - began
        inbox = await scene.simulate("inbox")
        assert [sent for sent in inbox["messages"] if sent["to"] != inbox["jid"]] == []
    reaction = (
        f"20 MB of answer: delivered, no more than 64 kB read, nothing sent; another one had all after {other_s:.1f} s"
    )
    return Row(reaction, took_s, "all delivered", asked.told())


async def down_for_an_hour(folder: Path) -> Row:
    """On a clock that runs sixty times as fast: asked ever more rarely, and everything once in order after it came back."""
    factor, hour_s = 60, 3600.0
    port, receiver = free_port(), Receiver()
    env: dict[str, Any] = {"WEBHOOK_ALLOW_PRIVATE": "true", "FRAME_FRESH_FOR": "1h"}
    async with Receiver() as good, fast_service(folder, factor, "one", **env) as (bot, clock):
        await bot.call("POST", "/api/webhooks", {"url": good.url, "events": ["message"]})
        _, made = await bot.call("POST", "/api/webhooks", {"url": f"http://127.0.0.1:{port}", "events": ["message"]})
        await bot.call("POST", "/api/sessions/one/simulate", {"action": "message", "count": COUNT, "text": "n"})
        await _meanwhile(good)
        began = clock.monotonic()
        health = set()
        while clock.monotonic() - began < hour_s:
            health.add((await bot.call("GET", "/health", key=None))[0])
            await asyncio.sleep(0.1)
        _, waiting = await bot.call("GET", f"/api/deliveries?state=pending&webhook={made['id']}&limit=500")
        attempts = sum(row["attempts"] for row in waiting["deliveries"])
        assert len(waiting["deliveries"]) == COUNT
        assert {row["lastError"] for row in waiting["deliveries"]} <= {"connect", None}
        assert attempts < 60, "asked ever more rarely"
        await receiver.start(port)
        back = clock.monotonic()
        try:
            await _in_order(receiver)
            took_s = clock.monotonic() - back
            # A second of a busy machine is a minute here.
            assert took_s < 1100, (
                "at most ten minutes between two looks at a receiver that is down, never twice as long"
            )
            assert len(receiver.requests) == COUNT, "each once"
        finally:
            await receiver.stop()
        assert health == {200}
    reaction = (
        f"{attempts} attempts in the hour; all {COUNT} once and in order after it came back (clock 60 times as fast)"
    )
    return Row(reaction, took_s, "all delivered, from its return", "health 200; deliveries pending, lastError connect")


FAULTS = [
    Fault("webhook receiver down for an hour", down_for_an_hour, long=True),
    Fault("webhook receiver answers 500", answers_500, long=True),
    Fault("webhook receiver slow", slow),
    Fault("webhook receiver redirects", redirecting),
    Fault("webhook receiver answers 20 MB", huge),
]

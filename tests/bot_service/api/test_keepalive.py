"""The watchdog's pushes and what the world reads of them; "watchdog silent" on the bot's own ALERT_URLS."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot_service.domain.signals import SignalKind
from shared.clock import iso
from tests.support.bot_app import Bot, running
from tests.support.fake_clock import FakeClock
from tests.support.processes import API_KEY, WATCHDOG_TOKEN
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

FIRST_KEYS = [
    "isRunning", "uptime", "uptimeHours", "pingCount", "failedPings", "successRate", "healthUrl", "pingInterval",
]  # fmt: skip


def push(clock: FakeClock, *, boot: str = "b1", sequence: int = 1, started_ago_s: float = 3600, **more: Any) -> Any:
    return {
        "bootId": boot,
        "sequence": sequence,
        "sentAt": iso(clock.now()),
        "startedAt": iso(clock.now() - timedelta(seconds=started_ago_s)),
        "pushInterval": 30_000,
        "isRunning": True,
        "uptime": 3_600_000,
        "pingCount": 6,
        "failedPings": 0,
        "consecutiveFailures": 0,
        "healthUrl": "https://bot.example/health",
        "pingInterval": 600_000,
        "state": "UP",
    } | more


async def post(bot: Bot, body: Any, key: str | None = WATCHDOG_TOKEN) -> tuple[int, Any]:
    return await bot.call("POST", "/api/keepalive", body, key=key)


async def view(bot: Bot) -> dict[str, Any]:
    status, found = await bot.call("GET", "/api/keepalive", key=None)
    assert status == 200
    return dict(found)


async def test_the_answer_has_exactly_the_keys_and_types_of_the_original_first(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock=clock) as bot:
        await post(bot, push(clock))
        async with bot.client.get("/api/keepalive") as response:
            raw = await response.text()
        found = json.loads(raw)
        assert list(found)[:8] == FIRST_KEYS
        assert {key: found[key] for key in FIRST_KEYS} == {
            "isRunning": True, "uptime": 3_600_000, "uptimeHours": "1.0", "pingCount": 6, "failedPings": 0,
            "successRate": "100.0", "healthUrl": "https://bot.example/health", "pingInterval": 600_000,
        }  # fmt: skip
        assert (found["stale"], found["state"], found["openIncident"]) == (False, "UP", None)


async def test_before_the_first_push_nothing_runs_and_nothing_is_made_up(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        found = await view(bot)
        assert list(found)[:8] == FIRST_KEYS
        assert (found["isRunning"], found["successRate"], found["uptimeHours"]) == (False, "0.0", "0.0")
        assert (found["stale"], found["lastPushAt"]) == (True, None)


async def test_pushes_are_idempotent_and_an_older_one_never_overwrites(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock=clock) as bot:
        assert (await post(bot, push(clock, sequence=5, pingCount=5)))[1] == {"accepted": True, "sequence": 5}
        assert (await post(bot, push(clock, sequence=5, pingCount=99)))[1]["accepted"] is False
        assert (await post(bot, push(clock, sequence=4, pingCount=4)))[1]["accepted"] is False
        assert (await view(bot))["pingCount"] == 5
        assert (await post(bot, push(clock, boot="b2", sequence=1, started_ago_s=1, pingCount=1)))[1]["accepted"]
        assert (await view(bot))["pingCount"] == 1, "a new boot counts from its own start"
        await post(bot, push(clock, sequence=6, pingCount=6))
        assert (await view(bot))["pingCount"] == 1, "a late push of the old boot changes nothing"


async def test_what_was_pushed_survives_a_restart_of_the_bot(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock=clock) as bot:
        await post(bot, push(clock, sequence=7, pingCount=7))
    async with running(tmp_path, clock=clock) as bot:
        assert (await view(bot))["pingCount"] == 7
        assert (await post(bot, push(clock, sequence=7)))[1]["accepted"] is False


async def test_after_three_intervals_without_a_push_it_is_stale(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock=clock) as bot:
        await post(bot, push(clock))
        await clock.advance(89)
        assert (await view(bot))["stale"] is False
        await clock.advance(2)
        found = await view(bot)
        assert (found["stale"], found["isRunning"]) == (True, False)


async def test_wrong_pushes_are_refused_with_the_field(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock=clock) as bot:
        assert (await post(bot, push(clock), key=None))[0] == 401
        assert (await post(bot, push(clock), key=API_KEY))[0] == 403
        for field, value in (
            ("uptime", "long"), ("uptime", -1), ("sequence", -1), ("sequence", 2**63), ("sequence", True), ("bootId", ""),
            ("bootId", "b" * 65), ("pushInterval", 0), ("startedAt", "2026-01-01T00:00:00"), ("failedPings", -1),
        ):  # fmt: skip
            status, problem = await post(bot, push(clock) | {field: value})
            assert (status, problem["errors"][0]["field"]) == (422, field)
        assert (await view(bot))["lastPushAt"] is None, "nothing wrong was taken"


async def test_another_watchdog_needs_only_its_identity_and_the_keys_of_the_original(tmp_path: Path) -> None:
    clock = FakeClock()
    seed = {
        "isRunning": True, "uptime": 3_600_000, "uptimeHours": "1.0", "pingCount": 6, "failedPings": 0,
        "successRate": "100.0", "healthUrl": "https://bot.example/health", "pingInterval": 600_000,
    }  # fmt: skip
    async with running(tmp_path, clock=clock) as bot:
        assert (await post(bot, seed | {"bootId": "w", "sequence": 1})) == (200, {"accepted": True, "sequence": 1})
        found = await view(bot)
        assert {key: found[key] for key in FIRST_KEYS} == seed
        assert found["stale"] is False
        assert (await post(bot, seed | {"bootId": "w"}))[1]["errors"][0]["field"] == "sequence"
    async with running(tmp_path, clock=clock) as bot:
        assert {key: (await view(bot))[key] for key in FIRST_KEYS} == seed


async def test_a_watchdog_whose_clock_went_ahead_hides_its_successor_only_until_it_is_silent(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock=clock) as bot:
        await post(bot, push(clock, boot="ahead", started_ago_s=-86_400, pingCount=1))
        await post(bot, push(clock, boot="right", sequence=1, started_ago_s=0, pingCount=2))
        assert (await view(bot))["pingCount"] == 1
        await clock.advance(91)
        await post(bot, push(clock, boot="right", sequence=2, started_ago_s=91, pingCount=3))
        found = await view(bot)
        assert (found["pingCount"], found["isRunning"], found["stale"]) == (3, True, False)


async def test_a_silent_watchdog_is_told_once_after_its_grace_and_its_return_too(
    tmp_path: Path, receiver: Receiver
) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock=clock, ALERT_URLS=f"{receiver.url}/ops") as bot:

        def kinds() -> list[str]:
            return [got.json["type"] for got in receiver.requests]

        await post(bot, push(clock))
        await clock.advance(60)
        await asyncio.sleep(0.05)
        assert kinds() == [], "no alert within the grace"

        async def passing(wanted: list[str]) -> bool:
            await clock.advance(5)
            return kinds() == wanted

        await eventually(lambda: passing(["service.alert"]), what="the alert")
        alert = receiver.requests[0].json
        assert alert["data"]["kind"] == "watchdog_silent"
        assert "Watchdog silent" in alert["data"]["text"]
        assert receiver.requests[0].headers["webhook-id"] == alert["id"]
        _, figures = await bot.call("GET", "/api/metrics", key=None)
        assert figures["alerts"] == ["watchdog_silent"]
        await clock.advance(600)
        await asyncio.sleep(0.05)
        assert kinds() == ["service.alert"], "alerted once"
        await post(bot, push(clock, sequence=2))
        await eventually(lambda: passing(["service.alert", "service.recovered"]), what="the recovery")


async def test_metrics_have_the_promised_names_and_no_label_of_a_person(tmp_path: Path) -> None:
    promised = {
        "sessions", "sessions_wanted", "sessions_ready", "session_transitions_total", "session_reconnects_total",
        "session_silence_suspected", "seconds_since_last_frame", "seconds_since_last_inbound",
        "probe_round_trip_seconds", "journal_lag_seconds", "messages_in_total", "messages_lost_total", "messages_out_total",
        "webhook_outbox_oldest_seconds", "webhook_deliveries_total", "dead_letters", "outbox_oldest_seconds",
        "worker_restarts_total", "loop_lag_seconds", "watchdog_push_age_seconds",
        "watchdog_silent", "http_requests_total", "http_request_seconds", "info",
    }  # fmt: skip
    async with running(tmp_path) as bot:
        await bot.call("POST", "/api/sessions", {"id": "one"})
        status, text = await bot.call("GET", "/metrics", key=None)
        assert status == 200
        named = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        have = named | {name + "_total" for name in named}
        assert {f"veilleur_bot_{name}" for name in promised} <= have
        assert "one" not in {part.strip('"') for part in text.replace("=", " ").replace(",", " ").split()}
        status, figures = await bot.call("GET", "/api/metrics", key=None)
        assert status == 200
        assert figures["sessions"]["total"] == 1
        assert figures["memory"]["rssBytes"] > 0


async def test_messages_that_may_be_lost_are_counted_by_a_bounded_reason(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await bot.call("POST", "/api/sessions", {"id": "one"})
        _, before = await bot.call("GET", "/metrics", key=None)
        assert 'veilleur_bot_messages_lost_total{reason="sent_between"} 0.0' in before.splitlines()
        bot.pool.emit("one", SignalKind.MESSAGE_LOST, messageId="M1", reason="sent_between")
        bot.pool.emit("one", SignalKind.MESSAGE_LOST, messageId="M2", reason="+4915100000001")
        _, after = await bot.call("GET", "/metrics", key=None)
        lines = after.splitlines()
        assert 'veilleur_bot_messages_lost_total{reason="sent_between"} 1.0' in lines
        assert 'veilleur_bot_messages_lost_total{reason="other"} 1.0' in lines
        assert "4915100000001" not in after

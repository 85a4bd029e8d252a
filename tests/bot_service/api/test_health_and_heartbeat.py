"""Health from memory, and the heartbeat that the watchdog follows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bot_service import keys
from bot_service.app import announce_stop
from bot_service.domain.client_version import Source
from bot_service.sessions.client_version import VersionFacts
from shared.contract.identity import BOT, CHALLENGE_HEADER, new_challenge
from tests.support.bot_app import Bot, running
from tests.support.processes import WATCHDOG_TOKEN
from tests.support.waiting import eventually


async def events(bot: Bot, count: int) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    async with bot.client.get("/api/heartbeat", headers={"Authorization": f"Bearer {WATCHDOG_TOKEN}"}) as stream:
        assert stream.status == 200
        assert stream.content_type == "text/event-stream"
        name = ""
        async for line in stream.content:
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                name = text[7:]
            elif text.startswith("data: "):
                found.append((name, json.loads(text[6:])))
                if len(found) == count:
                    break
    return found


async def test_health_counts_sessions_and_begins_with_its_status(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        status, health = await bot.call("GET", "/health", key=None)
        assert status == 200
        assert next(iter(health)) == "status"
        assert health["status"] == "ok"
        assert health["sessions"] == {"total": 0, "wanted": 0, "ready": 0, "needPerson": 0}
        assert isinstance(health["uptime"], int)
        assert health["bootId"] == bot.app[keys.RUN].boot.boot_id
        assert (await bot.call("GET", "/readyz", key=None))[0] == 200
        assert (await bot.call("HEAD", "/health", key=None))[0] == 200
        assert (await bot.call("GET", "/livez", key=None))[0] == 200


KEYS = ["status", "uptime", "version", "bootId", "sessions"]


async def test_health_ends_with_the_client_version_that_the_engine_announces(tmp_path: Path) -> None:
    async with running(tmp_path, ENGINE="neonize", WHATSAPP_VERSION="builtin") as bot:
        status, health = await bot.call("GET", "/health", key=None)
        assert (status, list(health)) == (200, [*KEYS, "clientVersion"])
        facts = bot.app[keys.SESSIONS].client_version.facts()
        assert facts.version is not None
        assert health["clientVersion"] == {
            "version": facts.version, "source": "builtin", "ageDays": facts.age_days, "outdated": False,
        }  # fmt: skip


async def test_health_names_no_client_version_when_the_engine_announces_none(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        assert list((await bot.call("GET", "/health", key=None))[1]) == KEYS


async def test_a_refused_client_version_and_its_problem_are_shown_and_no_reason_to_be_unhealthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as bot:
        facts = VersionFacts(
            "2.3000.1047769893", Source.MANUAL, 70.1, True,
            problem="/data/engine: No space left on device", problem_reason="no_space",
        )  # fmt: skip
        monkeypatch.setattr(bot.app[keys.SESSIONS].client_version, "facts", lambda: facts)
        status, health = await bot.call("GET", "/health", key=None)
        assert (status, health["status"]) == (200, "ok")
        shown = health["clientVersion"]
        assert (shown["source"], shown["ageDays"], shown["outdated"]) == ("manual", 70.1, True)
        # Anybody may look at this: no folder is named.
        assert shown["problem"].endswith("DATA_DIR has no room for a copy of its library")
        assert "/data" not in json.dumps(health)


async def test_health_says_why_the_version_of_the_engine_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as bot:
        facts = VersionFacts(None, None, None, False, problem="2 places", problem_reason="not_unique")
        monkeypatch.setattr(bot.app[keys.SESSIONS].client_version, "facts", lambda: facts)
        _, health = await bot.call("GET", "/health", key=None)
        assert list(health["clientVersion"]) == ["outdated", "problem"]


async def test_health_answers_a_challenge_with_the_proof_of_this_boot(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        boot_id, challenge = bot.app[keys.RUN].boot.boot_id, new_challenge()
        _, health = await bot.call("GET", "/health", key=None, headers={CHALLENGE_HEADER: challenge})
        assert bot.app[keys.RUN].identity.proves(health["proof"], BOT, boot_id, challenge)
        for unusable in ("", "zz" * 16, "0" * 4000):
            _, health = await bot.call("GET", "/health", key=None, headers={CHALLENGE_HEADER: unusable})
            assert "proof" not in health


async def test_a_dead_loop_makes_the_service_unhealthy_by_name(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:

        async def crash() -> None:
            raise RuntimeError("broken")

        bot.app[keys.RUN].loops.start("doomed", crash)
        await asyncio.sleep(0.05)
        status, health = await bot.call("GET", "/health", key=None)
        assert (status, health) == (
            503,
            {"status": "unhealthy", "reasons": ["loop:doomed"], "bootId": bot.app[keys.RUN].boot.boot_id},
        )
        assert (await bot.call("GET", "/readyz", key=None))[0] == 503


async def test_a_pool_that_nobody_watches_makes_the_service_unhealthy(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        bot.pool.watched = False
        status, health = await bot.call("GET", "/health", key=None)
        assert (status, health["reasons"]) == (503, ["engine_pool"])


async def test_beats_tell_the_counts_and_their_sequence(tmp_path: Path) -> None:
    async with running(tmp_path, HEARTBEAT_INTERVAL="100") as bot:
        await bot.call("POST", "/api/sessions", {"id": "one", "start": False})
        found = await events(bot, 3)
        assert [name for name, _ in found] == ["beat"] * 3
        first, second, third = (beat for _, beat in found)
        assert first["bootId"] == bot.app[keys.RUN].boot.boot_id
        assert first["sequence"] < second["sequence"] < third["sequence"]
        assert first["intervalMs"] == 100
        assert first["sessions"]["total"] == 1
        assert first["sessions"]["byState"] == {"STOPPED": 1}
        assert first["draining"] is False
        assert first["schemaVersion"] == 1


async def test_a_planned_stop_is_announced_and_ends_the_stream(tmp_path: Path) -> None:
    async with running(tmp_path, HEARTBEAT_INTERVAL="60000") as bot:
        listening = asyncio.create_task(events(bot, 100))
        await eventually(lambda: bot.app[keys.OPERATIONS].heartbeat.listeners)
        await announce_stop(bot.app)
        found = await asyncio.wait_for(listening, 60)
        assert found[-1][0] == "stopping"
        assert found[-1][1]["deadlineMs"] == 30_000


async def test_the_heartbeat_needs_the_watchdogs_token(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        assert (await bot.call("GET", "/api/heartbeat", key=None))[0] == 401
        assert (await bot.call("GET", "/api/heartbeat"))[0] == 403
